-- What a refund took, given back: the refund failed, or the dispute was won.

create or replace function public.chuk_give_back(
  p_user_id uuid, p_reference text, p_now timestamptz
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  purse public.user_billing;
  adjusted chuk.ledger_entries;
  undone text := p_reference || ':undone';
  given bigint;
begin
  select * into purse from public.user_billing where user_id = p_user_id for update;
  select available_micro into given
    from chuk.ledger_entries where reference = 'adjust:' || undone;
  if found then
    return to_jsonb(given);
  end if;
  select * into adjusted from chuk.ledger_entries
    where reference = 'adjust:' || p_reference and user_id = purse.user_id;
  -- Earlier versions gave it back as a grant of its own.
  if not found or chuk.is_locked(p_user_id) or exists (
    select from chuk.ledger_entries where reference = 'grant:' || undone
  ) then
    return to_jsonb(0);
  end if;
  select case when epoch = purse.epoch then -adjusted.available_micro else 0 end into given
    from chuk.ledger_entries where reference = 'grant:' || adjusted.grant_reference;
  if adjusted.asked_micro > 0 then
    perform chuk.enter(
      purse, 'adjust', undone, given, purse.epoch, p_now, null, adjusted.grant_reference,
      -adjusted.asked_micro
    );
    update public.user_billing set available_micro = available_micro + given, updated_at = p_now
      where user_id = p_user_id;
  end if;
  return to_jsonb(given);
end
$$;

select chuk.seal_functions();
-- The API looks again at which functions there are.
notify pgrst, 'reload schema';
insert into chuk.schema_migrations (name) values ('0010_give_back') on conflict do nothing;
