-- Whether a hold is still open: what it took is not decided then.

create or replace function public.chuk_is_held(p_hold_id text) returns jsonb
language sql stable security definer set search_path = '' as $$
  select to_jsonb(exists (select from chuk.holds where id = p_hold_id and state = 'open'))
$$;

select chuk.seal_functions();
-- The API looks again at which functions there are.
notify pgrst, 'reload schema';
insert into chuk.schema_migrations (name) values ('0008_open_holds') on conflict do nothing;
