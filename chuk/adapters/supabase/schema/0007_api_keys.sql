-- Personal API keys: who has which, what they may spend, and what went through them.
--
-- CK401: the key is not there any more.

create table if not exists chuk.api_keys (
  id uuid primary key,
  -- With the purse go its keys: an erased account leaves none.
  user_id uuid not null references public.user_billing (user_id) on delete cascade,
  -- SHA-256 of the key, which itself is kept nowhere.
  digest text not null unique,
  name text not null,
  last_four text not null,
  scopes text not null,
  monthly_budget_micro bigint check (monthly_budget_micro > 0),
  created_at timestamptz not null,
  expires_at timestamptz,
  last_used_at timestamptz
);
create index if not exists api_keys_user on chuk.api_keys (user_id);
comment on column chuk.api_keys.scopes is 'Words with spaces between them.';
alter table chuk.api_keys enable row level security;
revoke all on chuk.api_keys from public, anon, authenticated;

alter table chuk.holds add column if not exists api_key_id uuid;
alter table public.usage_logs add column if not exists api_key_id uuid;
create index if not exists holds_open_api_key
  on chuk.holds (api_key_id) where state = 'open' and api_key_id is not null;
create index if not exists usage_logs_api_key
  on public.usage_logs (api_key_id, created_at) include (charged_micro)
  where api_key_id is not null;

-- Whoever ends a hold, an older server too: its usage row says through which key it came.
create or replace function chuk.usage_follows_hold() returns trigger
language plpgsql set search_path = '' as $$
begin
  select api_key_id into new.api_key_id from chuk.holds where id = new.hold_id;
  return new;
end
$$;
drop trigger if exists usage_follows_hold on public.usage_logs;
create trigger usage_follows_hold before insert on public.usage_logs
  for each row execute function chuk.usage_follows_hold();

create or replace function chuk.spent_by_key(p_id uuid, p_since timestamptz) returns bigint
language sql stable set search_path = '' as $$
  select coalesce(sum(charged_micro), 0)::bigint
  from public.usage_logs where api_key_id = p_id and created_at >= p_since
$$;

-- Settled this month through the key, and what it holds right now.
create or replace function chuk.key_spent(p_id uuid, p_now timestamptz) returns bigint
language sql stable set search_path = '' as $$
  select chuk.spent_by_key(p_id, date_trunc('month', p_now, 'UTC')) + (
    select coalesce(sum(amount_micro), 0)::bigint
    from chuk.holds where api_key_id = p_id and state = 'open'
  )
$$;

-- Null without a budget; 0 of a key that is gone.
create or replace function public.chuk_key_budget_left(p_id uuid, p_now timestamptz) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(
    (select coalesce(to_jsonb(monthly_budget_micro - chuk.key_spent(id, p_now)), 'null')
      from chuk.api_keys where id = p_id),
    to_jsonb(0)
  )
$$;

create or replace function chuk.api_key_as_json(p_key chuk.api_keys, p_spent bigint) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'id', p_key.id, 'user_id', p_key.user_id, 'name', p_key.name, 'last_four', p_key.last_four,
    'scopes', p_key.scopes, 'monthly_budget', p_key.monthly_budget_micro,
    'created_at', p_key.created_at, 'expires_at', p_key.expires_at,
    'last_used_at', p_key.last_used_at, 'spent', p_spent
  )
$$;

-- Whether there was room for one more.
create or replace function public.chuk_add_api_key(
  p_id uuid, p_user_id uuid, p_digest text, p_name text, p_last_four text, p_scopes text,
  p_monthly_budget bigint, p_expires_at timestamptz, p_most integer, p_now timestamptz,
  p_free_messages integer
) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
  perform chuk.locked_purse(p_user_id, p_free_messages, p_now);
  if chuk.is_locked(p_user_id) then
    raise exception 'the account is locked' using errcode = 'CK403';
  end if;
  if (select count(*) from chuk.api_keys where user_id = p_user_id) >= p_most then
    return to_jsonb(false);
  end if;
  insert into chuk.api_keys (
    id, user_id, digest, name, last_four, scopes, monthly_budget_micro, created_at, expires_at
  ) values (
    p_id, p_user_id, p_digest, p_name, p_last_four, p_scopes, p_monthly_budget, p_now, p_expires_at
  );
  return to_jsonb(true);
end
$$;

create or replace function public.chuk_find_api_key(p_digest text) returns jsonb
language sql stable security definer set search_path = '' as $$
  select chuk.api_key_as_json(k, 0) from chuk.api_keys k where digest = p_digest
$$;

create or replace function public.chuk_api_keys(p_user_id uuid, p_now timestamptz) returns jsonb
language sql stable security definer set search_path = '' as $$
  select chuk.as_rows(jsonb_agg(
    chuk.api_key_as_json(k, chuk.spent_by_key(k.id, date_trunc('month', p_now, 'UTC')))
    order by k.created_at, k.id
  )) from chuk.api_keys k where user_id = p_user_id
$$;

create or replace function public.chuk_remove_api_key(p_user_id uuid, p_id uuid) returns jsonb
language sql security definer set search_path = '' as $$
  with removed as (
    delete from chuk.api_keys where id = p_id and user_id = p_user_id returning 1
  )
  select to_jsonb(exists (select from removed))
$$;

create or replace function public.chuk_note_api_key_use(p_id uuid, p_moment timestamptz)
returns jsonb
language sql security definer set search_path = '' as $$
  update chuk.api_keys set last_used_at = greatest(last_used_at, p_moment) where id = p_id;
  select 'null'::jsonb
$$;

-- As chuk_open_hold, within what the key's budget leaves of this month.
create or replace function public.chuk_open_hold_by_key(
  p_api_key_id uuid,
  p_hold_id text, p_user_id uuid, p_operation text, p_model_id text, p_provider_slug text,
  p_at_most bigint, p_at_least bigint, p_allows_free_message boolean,
  p_owner text, p_lease_until timestamptz, p_now timestamptz, p_free_messages integer
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  purse public.user_billing;
  api_key chuk.api_keys;
  at_most bigint := p_at_most;
  spent bigint;
  is_new boolean;
  opened jsonb;
begin
  -- The purse's lock is held to the end: nobody else spends meanwhile.
  purse := chuk.locked_purse(p_user_id, p_free_messages, p_now);
  is_new := not exists (select from chuk.holds where id = p_hold_id);
  if is_new and not chuk.is_locked(p_user_id) then
    select * into api_key from chuk.api_keys where id = p_api_key_id and user_id = p_user_id;
    if not found then
      raise exception 'the key is not there any more' using errcode = 'CK401';
    end if;
    -- Where the credits do not do, at most a free message is taken, and it costs nothing.
    if api_key.monthly_budget_micro is not null and p_at_most > 0
      and purse.available_micro >= greatest(p_at_least, 1)
    then
      spent := chuk.key_spent(p_api_key_id, p_now);
      if api_key.monthly_budget_micro - spent < greatest(p_at_least, 1) then
        raise exception 'the budget of the key is reached' using errcode = 'CK429',
          detail = jsonb_build_object(
            'period', 'month', 'cap', api_key.monthly_budget_micro, 'spent', spent,
            'api_key_id', p_api_key_id
          );
      end if;
      at_most := least(at_most, api_key.monthly_budget_micro - spent);
    end if;
  end if;
  opened := public.chuk_open_hold(
    p_hold_id, p_user_id, p_operation, p_model_id, p_provider_slug, at_most, p_at_least,
    p_allows_free_message, p_owner, p_lease_until, p_now, p_free_messages
  );
  if is_new then
    update chuk.holds set api_key_id = p_api_key_id where id = p_hold_id;
  end if;
  return opened;
end
$$;

-- As it was, and now with the key.
create or replace function chuk.receipt_as_json(p_usage public.usage_logs) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'id', p_usage.hold_id, 'created_at', p_usage.created_at, 'operation', p_usage.operation,
    'held', p_usage.held_micro, 'charged', p_usage.charged_micro,
    'is_free_message', p_usage.is_free_message, 'model_id', p_usage.model_id,
    'provider_slug', p_usage.provider_slug, 'prompt_tokens', p_usage.prompt_tokens,
    'completion_tokens', p_usage.completion_tokens, 'total_tokens', p_usage.total_tokens,
    'cost_usd', p_usage.total_cost_usd::text, 'outcome', p_usage.outcome, 'basis', p_usage.basis,
    'is_zdr', p_usage.is_zdr, 'generation_id', p_usage.generation_id, 'tags', p_usage.tags,
    'api_key_id', p_usage.api_key_id
  )
$$;

select chuk.seal_functions();
-- The API looks again at which functions there are.
notify pgrst, 'reload schema';
insert into chuk.schema_migrations (name) values ('0007_api_keys') on conflict do nothing;
