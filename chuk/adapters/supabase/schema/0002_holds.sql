-- Holds: set aside, settled, given back, looked after. One function is one transaction.
--
-- What the server must tell apart is raised with a code of its own:
-- CK400 somebody else's, CK402 not enough credits, CK403 locked account, CK404 no such hold,
-- CK409 open holds, CK429 own spending cap, CK500 a bug.

create or replace function chuk.user_hash(p_user_id uuid) returns text
language sql stable set search_path = '' as $$
  select encode(sha256(convert_to(salt || p_user_id::text, 'UTF8')), 'hex') from chuk.deletion_salt
$$;

create or replace function chuk.is_locked(p_user_id uuid) returns boolean
language sql stable set search_path = '' as $$
  select exists (select from chuk.deletions where user_hash = chuk.user_hash(p_user_id))
$$;

-- The user's purse, locked until the end of the transaction; made when it is missing.
create or replace function chuk.locked_purse(
  p_user_id uuid, p_free_messages integer, p_now timestamptz
) returns public.user_billing
language plpgsql set search_path = '' as $$
declare
  purse public.user_billing;
begin
  select * into purse from public.user_billing where user_id = p_user_id for update;
  if found then
    return purse;
  end if;
  insert into public.user_billing (user_id, free_messages_total, updated_at)
    values (p_user_id, p_free_messages, p_now) on conflict (user_id) do nothing;
  select * into strict purse from public.user_billing where user_id = p_user_id for update;
  -- After the lock: a deletion takes it too, so that one of both sees the other.
  if chuk.is_locked(p_user_id) then
    raise exception 'the account is locked' using errcode = 'CK403';
  end if;
  return purse;
end
$$;

-- Lists travel in an object, so that an empty body cannot be taken for an empty list.
create or replace function chuk.as_rows(p_rows jsonb) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_build_object('rows', coalesce(p_rows, '[]'))
$$;

create or replace function chuk.hold_as_json(p_hold chuk.holds) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'id', p_hold.id, 'user_id', p_hold.user_id, 'amount', p_hold.amount_micro,
    'is_free_message', p_hold.is_free_message
  )
$$;

-- What a spending cap still allows: null without a cap. Spent is what was settled, and open holds.
create or replace function chuk.spent_since(p_user_id uuid, p_since timestamptz) returns bigint
language sql stable set search_path = '' as $$
  select coalesce(sum(charged_micro), 0)::bigint
  from public.usage_logs where user_id = p_user_id and created_at >= p_since
$$;

create or replace function public.chuk_open_hold(
  p_hold_id text, p_user_id uuid, p_operation text, p_model_id text, p_provider_slug text,
  p_at_most bigint, p_at_least bigint, p_allows_free_message boolean,
  p_owner text, p_lease_until timestamptz, p_now timestamptz, p_free_messages integer
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  purse public.user_billing;
  hold chuk.holds;
  -- Something, at the least: an empty purse affords nothing, however cheap it is.
  needed bigint := greatest(p_at_least, 1);
  amount bigint := 0;
  is_free boolean := false;
  cap record;
begin
  purse := chuk.locked_purse(p_user_id, p_free_messages, p_now);
  if chuk.is_locked(p_user_id) then
    raise exception 'the account is locked' using errcode = 'CK403';
  end if;
  select * into hold from chuk.holds where id = p_hold_id;
  if found then
    return chuk.hold_as_json(hold);
  end if;

  if p_at_most > 0 and purse.available_micro >= needed then
    amount := least(p_at_most, purse.available_micro);
    for cap in
      select period, allowed,
        purse.held_micro + chuk.spent_since(p_user_id, date_trunc(period, p_now, 'UTC')) as spent
      from (values ('day', purse.daily_cap_micro), ('month', purse.monthly_cap_micro))
        as caps (period, allowed)
      where allowed is not null
      order by period
    loop
      if cap.allowed - cap.spent < needed then
        raise exception 'the spending cap is reached' using errcode = 'CK429',
          detail = jsonb_build_object('period', cap.period, 'cap', cap.allowed, 'spent', cap.spent);
      end if;
      amount := least(amount, cap.allowed - cap.spent);
    end loop;
  elsif p_at_most > 0 then
    if not p_allows_free_message or purse.free_messages_used >= purse.free_messages_total then
      raise exception 'not enough credits' using errcode = 'CK402',
        detail = jsonb_build_object(
          'required', needed, 'available', greatest(purse.available_micro, 0),
          'operation', p_operation
        );
    end if;
    is_free := true;
  end if;

  insert into chuk.holds (
    id, user_id, operation, model_id, provider_slug, amount_micro, is_free_message, epoch,
    owner, lease_until, opened_at
  ) values (
    p_hold_id, p_user_id, p_operation, p_model_id, p_provider_slug, amount, is_free, purse.epoch,
    p_owner, p_lease_until, p_now
  ) returning * into hold;
  insert into chuk.ledger_entries (
    user_id, kind, reference, available_micro, held_micro, free_messages, epoch, hold_id, created_at
  ) values (
    p_user_id, 'hold', 'hold:' || p_hold_id, -amount, amount, is_free::integer, purse.epoch,
    p_hold_id, p_now
  );
  update public.user_billing set
    available_micro = available_micro - amount,
    held_micro = held_micro + amount,
    free_messages_used = free_messages_used + is_free::integer,
    updated_at = p_now
  where user_id = p_user_id;
  return chuk.hold_as_json(hold);
end
$$;

create or replace function public.chuk_note_progress(
  p_hold_id text, p_generation_id text, p_prompt_tokens bigint, p_completion_tokens bigint,
  p_cost bigint, p_cost_usd numeric
) returns jsonb
language sql security definer set search_path = '' as $$
  update chuk.holds set
    generation_id = coalesce(p_generation_id, generation_id),
    prompt_tokens = p_prompt_tokens,
    completion_tokens = p_completion_tokens,
    cost_micro = p_cost,
    cost_usd = p_cost_usd
  where id = p_hold_id and state = 'open';
  select 'null'::jsonb
$$;

-- The one way a hold ends. The reference of its entry is the same for both kinds, so that the
-- table itself refuses a second end.
create or replace function chuk.end_hold(
  p_hold_id text, p_kind text, p_cost bigint, p_usage jsonb, p_now timestamptz
) returns jsonb
language plpgsql set search_path = '' as $$
declare
  purse public.user_billing;
  hold chuk.holds;
  whose uuid;
  charged bigint;
  rest bigint;
  lapsed bigint := 0;
  free_back integer := 0;
begin
  if p_cost < 0 then
    raise exception 'a cost below 0' using errcode = 'CK500';
  end if;
  select user_id into whose from chuk.holds where id = p_hold_id;
  -- The purse before the hold, as everywhere: two locks in one order cannot deadlock.
  select * into purse from public.user_billing where user_id = whose for update;
  select * into hold from chuk.holds where id = p_hold_id for update;
  if hold.id is null then
    raise exception 'no such hold' using errcode = 'CK404';
  end if;
  if hold.state <> 'open' then
    return jsonb_build_object('charged', hold.charged_micro, 'is_new', false);
  end if;

  charged := case when p_kind = 'release' or hold.is_free_message then 0 else p_cost end;
  rest := hold.amount_micro - charged;
  if rest > 0 and (hold.gives_nothing_back or hold.epoch < purse.epoch) then
    lapsed := rest;
  end if;
  if p_kind = 'release' and hold.is_free_message then
    free_back := 1;
  end if;

  insert into chuk.ledger_entries (
    user_id, kind, reference, available_micro, held_micro, free_messages, epoch, hold_id, created_at
  ) values (
    whose, p_kind, 'end:' || p_hold_id, rest, -hold.amount_micro, -free_back, purse.epoch,
    p_hold_id, p_now
  );
  if lapsed > 0 then
    insert into chuk.ledger_entries (
      user_id, kind, reference, available_micro, epoch, hold_id, created_at
    ) values (
      whose, 'lapse', 'lapse:hold:' || p_hold_id, -lapsed, purse.epoch, p_hold_id, p_now
    );
  end if;
  update public.user_billing set
    available_micro = available_micro + rest - lapsed,
    held_micro = held_micro - hold.amount_micro,
    free_messages_used = free_messages_used - free_back,
    updated_at = p_now
  where user_id = whose;
  update chuk.holds set
    state = case p_kind when 'settle' then 'settled' else 'released' end,
    charged_micro = charged,
    resolved_at = p_now
  where id = p_hold_id;
  insert into public.usage_logs (
    hold_id, user_id, model_id, provider_slug, prompt_tokens, completion_tokens, total_tokens,
    total_cost_usd, credits_deducted_eur, created_at, operation, held_micro, charged_micro,
    is_free_message, outcome, basis, is_zdr, generation_id, tags
  ) values (
    p_hold_id, whose, p_usage ->> 'model_id', p_usage ->> 'provider_slug',
    (p_usage ->> 'prompt_tokens')::bigint, (p_usage ->> 'completion_tokens')::bigint,
    (p_usage ->> 'total_tokens')::bigint, (p_usage ->> 'cost_usd')::numeric,
    charged::numeric / 1000000, p_now, hold.operation, hold.amount_micro, charged,
    hold.is_free_message, p_usage ->> 'outcome', p_usage ->> 'basis',
    (p_usage ->> 'is_zdr')::boolean, p_usage ->> 'generation_id', p_usage -> 'tags'
  );
  return jsonb_build_object('charged', charged, 'is_new', true);
end
$$;

create or replace function public.chuk_settle(
  p_hold_id text, p_cost bigint, p_usage jsonb, p_now timestamptz
) returns jsonb
language sql security definer set search_path = '' as $$
  select chuk.end_hold(p_hold_id, 'settle', p_cost, p_usage, p_now)
$$;

create or replace function public.chuk_release(p_hold_id text, p_usage jsonb, p_now timestamptz)
returns jsonb
language sql security definer set search_path = '' as $$
  select chuk.end_hold(p_hold_id, 'release', 0, p_usage, p_now)
$$;

create or replace function public.chuk_renew_leases(p_owner text, p_until timestamptz) returns jsonb
language sql security definer set search_path = '' as $$
  with renewed as (
    update chuk.holds set lease_until = p_until where owner = p_owner and state = 'open' returning 1
  )
  select to_jsonb(count(*)) from renewed
$$;

create or replace function public.chuk_claim_orphans(
  p_owner text, p_now timestamptz, p_lease_until timestamptz, p_limit integer
) returns jsonb
language sql security definer set search_path = '' as $$
  with orphans as (
    select id from chuk.holds
    where state = 'open' and lease_until <= p_now
    order by opened_at, id
    limit p_limit
    for update skip locked
  ), claimed as (
    update chuk.holds h set owner = p_owner, lease_until = p_lease_until, attempts = attempts + 1
    from orphans where h.id = orphans.id returning h.*
  )
  select chuk.as_rows(jsonb_agg(
    jsonb_build_object(
      'id', id, 'user_id', user_id, 'amount', amount_micro, 'is_free_message', is_free_message,
      'operation', operation, 'model_id', model_id, 'provider_slug', provider_slug,
      'generation_id', generation_id, 'prompt_tokens', prompt_tokens,
      'completion_tokens', completion_tokens, 'cost', cost_micro, 'cost_usd', cost_usd::text,
      'opened_at', opened_at, 'attempts', attempts
    ) order by opened_at, id
  )) from claimed
$$;

-- Without an owner: the process that lets go of it renews its leases all the same.
create or replace function public.chuk_defer(p_hold_id text, p_until timestamptz) returns jsonb
language sql security definer set search_path = '' as $$
  update chuk.holds set owner = '', lease_until = p_until where id = p_hold_id and state = 'open';
  select 'null'::jsonb
$$;

select chuk.seal_functions();
-- The API looks again at which functions there are.
notify pgrst, 'reload schema';
insert into chuk.schema_migrations (name) values ('0002_holds') on conflict do nothing;
