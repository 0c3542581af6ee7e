-- Credits come and go; what the user sees of them; and the proof that the books are right.

create or replace function chuk.purse_as_json(p_purse public.user_billing) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'available', p_purse.available_micro, 'held', p_purse.held_micro,
    'allocated', p_purse.allocated_micro, 'period', p_purse.credits_last_renewed_period,
    'free_total', p_purse.free_messages_total, 'free_used', p_purse.free_messages_used,
    'daily', p_purse.daily_cap_micro, 'monthly', p_purse.monthly_cap_micro
  )
$$;

-- A reference is unique among entries of its kind.
create or replace function chuk.enter(
  p_purse public.user_billing, p_kind text, p_reference text, p_change bigint, p_epoch bigint,
  p_now timestamptz, p_period timestamptz default null, p_grant_reference text default null,
  p_asked bigint default null
) returns void
language sql set search_path = '' as $$
  insert into chuk.ledger_entries (
    user_id, kind, reference, available_micro, epoch, created_at, period, grant_reference,
    asked_micro
  ) values (
    p_purse.user_id, p_kind, p_kind || ':' || p_reference, p_change, p_epoch, p_now, p_period, p_grant_reference,
    p_asked
  )
$$;

create or replace function public.chuk_grant(
  p_user_id uuid, p_amount bigint, p_reference text, p_period timestamptz, p_now timestamptz,
  p_free_messages integer
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  purse public.user_billing;
  present timestamptz;
  lapsed bigint := 0;
begin
  if p_amount < 0 then
    raise exception 'a grant below 0' using errcode = 'CK500';
  end if;
  if chuk.is_locked(p_user_id) then
    return to_jsonb(false);
  end if;
  purse := chuk.locked_purse(p_user_id, p_free_messages, p_now);
  if exists (select from chuk.ledger_entries where reference = 'grant:' || p_reference) then
    return to_jsonb(false);
  end if;
  present := purse.credits_last_renewed_period;

  if p_period < present then
    -- Paid for long ago: it is on the books, and over.
    perform chuk.enter(purse, 'grant', p_reference, p_amount, -1, p_now, p_period);
    perform chuk.enter(purse, 'lapse', 'grant:' || p_reference, -p_amount, -1, p_now);
    return to_jsonb(true);
  end if;
  if p_period > present then
    -- A debt stays one: what was spent too much is paid by the next period.
    lapsed := greatest(purse.available_micro, 0);
    perform chuk.enter(purse, 'lapse', 'grant:' || p_reference, -lapsed, purse.epoch, p_now);
    purse.epoch := purse.epoch + 1;
    purse.allocated_micro := 0;
  end if;
  perform chuk.enter(purse, 'grant', p_reference, p_amount, purse.epoch, p_now, p_period);
  update public.user_billing set
    available_micro = available_micro - lapsed + p_amount,
    allocated_micro = purse.allocated_micro + p_amount,
    credits_last_renewed_period = coalesce(p_period, credits_last_renewed_period),
    epoch = purse.epoch,
    updated_at = p_now
  where user_id = p_user_id;
  return to_jsonb(true);
end
$$;

create or replace function public.chuk_take_back(
  p_user_id uuid, p_grant_reference text, p_amount bigint, p_reference text, p_now timestamptz
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  purse public.user_billing;
  granted chuk.ledger_entries;
  before record;
  taken bigint;
begin
  if p_amount < 0 then
    raise exception 'an amount below 0' using errcode = 'CK500';
  end if;
  select * into purse from public.user_billing where user_id = p_user_id for update;
  select -available_micro into taken
    from chuk.ledger_entries where reference = 'adjust:' || p_reference;
  if found then
    return to_jsonb(taken);
  end if;
  select * into granted from chuk.ledger_entries
    where reference = 'grant:' || p_grant_reference and user_id = purse.user_id;
  if not found then
    -- Nothing is entered, so that the same can be asked again once the grant is there.
    return to_jsonb(0);
  end if;
  select coalesce(sum(-available_micro), 0) as taken, coalesce(sum(asked_micro), 0) as asked
    into before from chuk.ledger_entries where grant_reference = p_grant_reference;
  taken := 0;
  if granted.epoch = purse.epoch then
    taken := greatest(
      least(p_amount, granted.available_micro - before.taken, purse.available_micro), 0
    );
    if before.asked + p_amount >= granted.available_micro then
      update chuk.holds set gives_nothing_back = true
        where user_id = p_user_id and state = 'open';
    end if;
  end if;
  perform chuk.enter(
    purse, 'adjust', p_reference, -taken, purse.epoch, p_now, null, p_grant_reference, p_amount
  );
  update public.user_billing set available_micro = available_micro - taken, updated_at = p_now
    where user_id = p_user_id;
  return to_jsonb(taken);
end
$$;

create or replace function public.chuk_lapse(
  p_user_id uuid, p_reference text, p_now timestamptz, p_free_messages integer
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  purse public.user_billing;
  lapsed bigint;
begin
  if chuk.is_locked(p_user_id) then
    return to_jsonb(0);
  end if;
  purse := chuk.locked_purse(p_user_id, p_free_messages, p_now);
  if exists (select from chuk.ledger_entries where reference = 'lapse:' || p_reference) then
    return to_jsonb(0);
  end if;
  lapsed := greatest(purse.available_micro, 0);
  perform chuk.enter(purse, 'lapse', p_reference, -lapsed, purse.epoch, p_now);
  update public.user_billing set
    available_micro = available_micro - lapsed, allocated_micro = 0, epoch = epoch + 1,
    updated_at = p_now
  where user_id = p_user_id;
  return to_jsonb(lapsed);
end
$$;

create or replace function public.chuk_purse(
  p_user_id uuid, p_now timestamptz, p_free_messages integer
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  purse public.user_billing;
begin
  select * into purse from public.user_billing where user_id = p_user_id;
  if not found and chuk.is_locked(p_user_id) then
    -- An erased account gets no purse any more: it exists in the answer alone.
    return jsonb_build_object(
      'available', 0, 'held', 0, 'allocated', 0, 'period', null, 'free_total', p_free_messages,
      'free_used', 0, 'daily', null, 'monthly', null
    );
  elsif not found then
    purse := chuk.locked_purse(p_user_id, p_free_messages, p_now);
  end if;
  return chuk.purse_as_json(purse);
end
$$;

create or replace function public.chuk_set_spending_cap(
  p_user_id uuid, p_daily bigint, p_monthly bigint, p_now timestamptz, p_free_messages integer
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  purse public.user_billing;
begin
  purse := chuk.locked_purse(p_user_id, p_free_messages, p_now);
  if chuk.is_locked(p_user_id) then
    raise exception 'the account is locked' using errcode = 'CK403';
  end if;
  update public.user_billing set
    daily_cap_micro = p_daily, monthly_cap_micro = p_monthly, updated_at = p_now
  where user_id = p_user_id;
  return 'null';
end
$$;

-- Read by the app itself, as the user; and by the server for anybody.
create or replace function public.get_credits_remaining(p_user_id uuid) returns numeric
language plpgsql stable security definer set search_path = '' as $$
begin
  if p_user_id is distinct from auth.uid() and auth.role() is distinct from 'service_role' then
    raise exception 'only your own credits' using errcode = '42501';
  end if;
  return coalesce((
    select greatest(available_micro, 0)::numeric / 1000000
    from public.user_billing where user_id = p_user_id
  ), 0)::numeric(14, 6);
end
$$;
revoke all on function public.get_credits_remaining(uuid) from public, anon;
grant execute on function public.get_credits_remaining(uuid) to authenticated, service_role;

create or replace function chuk.receipt_as_json(p_usage public.usage_logs) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'id', p_usage.hold_id, 'created_at', p_usage.created_at, 'operation', p_usage.operation,
    'held', p_usage.held_micro, 'charged', p_usage.charged_micro,
    'is_free_message', p_usage.is_free_message, 'model_id', p_usage.model_id,
    'provider_slug', p_usage.provider_slug, 'prompt_tokens', p_usage.prompt_tokens,
    'completion_tokens', p_usage.completion_tokens, 'total_tokens', p_usage.total_tokens,
    'cost_usd', p_usage.total_cost_usd::text, 'outcome', p_usage.outcome, 'basis', p_usage.basis,
    'is_zdr', p_usage.is_zdr, 'generation_id', p_usage.generation_id, 'tags', p_usage.tags
  )
$$;

create or replace function public.chuk_receipts(
  p_user_id uuid, p_before timestamptz, p_before_id text, p_limit integer
) returns jsonb
language sql stable security definer set search_path = '' as $$
  select chuk.as_rows(jsonb_agg(chuk.receipt_as_json(page) order by created_at desc, hold_id desc))
  from (
    select * from public.usage_logs
    where user_id = p_user_id
      and (p_before is null or (created_at, hold_id) < (p_before, p_before_id collate "C"))
    order by created_at desc, hold_id desc
    limit p_limit
  ) page
$$;

create or replace function public.chuk_usage_sums(
  p_user_id uuid, p_by text, p_since timestamptz, p_until timestamptz
) returns jsonb
language sql stable security definer set search_path = '' as $$
  select chuk.as_rows(jsonb_agg(to_jsonb(summed) order by
    case when p_by = 'day' then key end desc, charged desc, requests desc, key
  ))
  from (
    select
      case p_by when 'day' then to_char(created_at at time zone 'UTC', 'YYYY-MM-DD')
        else model_id end collate "C" as key,
      count(*) as requests,
      sum(prompt_tokens)::bigint as prompt_tokens,
      sum(completion_tokens)::bigint as completion_tokens,
      sum(total_tokens)::bigint as total_tokens,
      sum(charged_micro)::bigint as charged
    from public.usage_logs
    where user_id = p_user_id and created_at >= p_since and created_at < p_until
    group by 1
  ) summed
$$;

create or replace function public.chuk_unknown_costs(p_limit integer) returns jsonb
language sql stable security definer set search_path = '' as $$
  select chuk.as_rows(jsonb_agg(chuk.receipt_as_json(page) order by created_at desc, hold_id desc))
  from (
    select * from public.usage_logs where basis = 'unknown'
    order by created_at desc, hold_id desc limit p_limit
  ) page
$$;

-- One statement, so that it sees one moment of the books however busy they are.
create or replace function public.chuk_verify() returns jsonb
language sql stable security definer set search_path = '' as $$
  with sums as (
    select user_id, sum(available_micro) as available, sum(held_micro) as held,
      sum(free_messages) as free_used
    from chuk.ledger_entries group by user_id
  ), granted as (
    select user_id, epoch, sum(available_micro) as amount
    from chuk.ledger_entries where kind = 'grant' group by user_id, epoch
  ), people as (
    select user_id from public.user_billing union select user_id from sums
  ), balances as (
    select p.user_id, f.what, f.recorded, f.computed, f.recorded <> f.computed as differs
    from people p
    left join public.user_billing b on b.user_id = p.user_id
    left join sums s on s.user_id = p.user_id
    left join granted g on g.user_id = b.user_id and g.epoch = b.epoch
    cross join lateral (values
      ('available', coalesce(b.available_micro, 0), coalesce(s.available, 0)),
      ('held', coalesce(b.held_micro, 0), coalesce(s.held, 0)),
      ('free_used', coalesce(b.free_messages_used, 0)::bigint, coalesce(s.free_used, 0)),
      ('allocated', coalesce(b.allocated_micro, 0), coalesce(g.amount, 0))
    ) as f (what, recorded, computed)
  ), entered as (
    -- What the entries say of each hold: what it set aside, what it took, how often it ended.
    select hold_id, user_id,
      sum(held_micro) filter (where kind = 'hold') as amount,
      sum(held_micro) as still_held,
      sum(free_messages) filter (where kind = 'hold') as free_messages,
      -sum(available_micro + held_micro) filter (where kind <> 'lapse') as charged,
      count(*) filter (where kind in ('settle', 'release')) as ends
    from chuk.ledger_entries where hold_id is not null group by hold_id, user_id
  ), holds as (
    -- One that is not there is written as -1.
    select coalesce(e.user_id, h.user_id) as user_id, 'hold:' || coalesce(e.hold_id, h.id) as what,
      case when h.id is null then -1 when h.state = 'open' then h.amount_micro
        else h.charged_micro end as recorded,
      case when e.hold_id is null then -1 when e.ends = 0 then e.still_held
        else e.charged end as computed,
      (h.user_id, h.amount_micro, h.is_free_message::integer, (h.state <> 'open')::integer)
        is distinct from (e.user_id, e.amount, e.free_messages, e.ends)
        or h.charged_micro <> case when e.ends = 0 then 0 else e.charged end as differs
    from chuk.holds h
    full join entered e on e.hold_id = h.id
  ), rows as (
    select coalesce(e.user_id, u.user_id) as user_id, u.charged_micro as recorded,
      e.charged as computed,
      (u.user_id, u.held_micro, u.charged_micro)
        is distinct from (e.user_id, e.amount, e.charged) as differs
    from public.usage_logs u
    full join (select * from entered where ends > 0) e on e.hold_id = u.hold_id
  ), usage as (
    select user_id, 'usage' as what, coalesce(sum(recorded), 0) as recorded,
      coalesce(sum(computed), 0) as computed, bool_or(differs) as differs
    from rows group by user_id
  )
  select chuk.as_rows(jsonb_agg(
    jsonb_build_object(
      'user_id', user_id, 'what', what, 'recorded', recorded, 'computed', computed
    ) order by user_id, what
  ))
  from (
    select * from balances union all select * from holds union all select * from usage
  ) every_figure
  where differs
$$;

select chuk.seal_functions();
-- The API looks again at which functions there are.
notify pgrst, 'reload schema';
insert into chuk.schema_migrations (name) values ('0003_credits') on conflict do nothing;
