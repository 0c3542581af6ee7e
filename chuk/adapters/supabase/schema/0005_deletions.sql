-- Deletions: an account is locked first, erased step by step, and remembered by a hash alone.

create or replace function chuk.deletion_as_json(p_deletion chuk.deletions) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'id', p_deletion.id, 'user_id', p_deletion.user_id, 'done', to_jsonb(p_deletion.done),
    'attempts', p_deletion.attempts, 'requested_at', p_deletion.requested_at
  )
$$;

create or replace function public.chuk_begin_deletion(
  p_user_id uuid, p_now timestamptz, p_free_messages integer
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  deletion chuk.deletions;
begin
  select * into deletion from chuk.deletions where user_hash = chuk.user_hash(p_user_id);
  if not found then
    -- Whoever opens a hold takes this lock too, and looks for the deletion under it.
    begin
      perform chuk.locked_purse(p_user_id, p_free_messages, p_now);
    exception when sqlstate 'CK403' then
      null; -- Somebody else began it meanwhile, and the rows are gone: read theirs below.
    end;
    insert into chuk.deletions (user_hash, user_id, requested_at, due_at)
      values (chuk.user_hash(p_user_id), p_user_id, p_now, p_now)
      on conflict (user_hash) do nothing;
    select * into strict deletion from chuk.deletions
      where user_hash = chuk.user_hash(p_user_id);
  end if;
  if deletion.is_finished then
    return 'null';
  end if;
  return chuk.deletion_as_json(deletion);
end
$$;

create or replace function public.chuk_is_locked(p_user_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select to_jsonb(chuk.is_locked(p_user_id))
$$;

create or replace function public.chuk_locked_since(p_moment timestamptz) returns jsonb
language sql stable security definer set search_path = '' as $$
  select chuk.as_rows(jsonb_agg(user_id order by requested_at, id))
  from chuk.deletions where not is_finished and requested_at >= p_moment
$$;

create or replace function public.chuk_claim_deletions(
  p_owner text, p_now timestamptz, p_lease_until timestamptz, p_limit integer
) returns jsonb
language sql security definer set search_path = '' as $$
  with due as (
    select id from chuk.deletions
    where not is_finished and due_at <= p_now and (lease_until is null or lease_until <= p_now)
    order by due_at, id
    limit p_limit
    for update skip locked
  ), claimed as (
    update chuk.deletions d set owner = p_owner, lease_until = p_lease_until
    from due where d.id = due.id returning d.*
  )
  select chuk.as_rows(jsonb_agg(chuk.deletion_as_json(c) order by c.requested_at, c.id))
  from claimed c
$$;

create or replace function public.chuk_mark_step(p_id uuid, p_step text) returns jsonb
language sql security definer set search_path = '' as $$
  update chuk.deletions set done = array_append(done, p_step)
    where id = p_id and not is_finished and not p_step = any (done);
  select 'null'::jsonb
$$;

create or replace function public.chuk_retry_deletion(p_id uuid, p_moment timestamptz) returns jsonb
language sql security definer set search_path = '' as $$
  update chuk.deletions set
    attempts = attempts + 1, due_at = p_moment, owner = null, lease_until = null
  where id = p_id and not is_finished;
  select 'null'::jsonb
$$;

-- All rows about one person, in one transaction; usage stays in sums of a month.
create or replace function public.chuk_erase_records(p_user_id uuid) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
  perform from public.user_billing where user_id = p_user_id for update;
  if exists (select from chuk.holds where user_id = p_user_id and state = 'open') then
    raise exception 'work is not settled yet' using errcode = 'CK409';
  end if;
  insert into chuk.usage_totals as t (
    month, operation, model_id, provider_slug, requests, prompt_tokens, completion_tokens,
    total_tokens, cost_usd, charged_micro
  )
  select date_trunc('month', created_at, 'UTC') at time zone 'UTC', operation, model_id,
    provider_slug, count(*), sum(prompt_tokens), sum(completion_tokens), sum(total_tokens),
    sum(total_cost_usd), sum(charged_micro)
  from public.usage_logs where user_id = p_user_id
  group by 1, 2, 3, 4
  on conflict (month, operation, model_id, provider_slug) do update set
    requests = t.requests + excluded.requests,
    prompt_tokens = t.prompt_tokens + excluded.prompt_tokens,
    completion_tokens = t.completion_tokens + excluded.completion_tokens,
    total_tokens = t.total_tokens + excluded.total_tokens,
    cost_usd = t.cost_usd + excluded.cost_usd,
    charged_micro = t.charged_micro + excluded.charged_micro;
  -- An event's id stays, so that a repeat is known; whom it was about does not.
  update chuk.inbox set customer_id = null, object_id = null
    where customer_id in (select customer_id from chuk.customers where user_id = p_user_id);
  perform set_config('chuk.erasing', 'on', true);
  delete from chuk.ledger_entries where user_id = p_user_id;
  perform set_config('chuk.erasing', '', true);
  delete from chuk.holds where user_id = p_user_id;
  delete from public.usage_logs where user_id = p_user_id;
  delete from chuk.subscriptions where user_id = p_user_id;
  delete from chuk.customers where user_id = p_user_id;
  delete from public.profiles where id = p_user_id;
  delete from public.user_billing where user_id = p_user_id;
  return 'null';
end
$$;

create or replace function public.chuk_finish_deletion(p_id uuid) returns jsonb
language sql security definer set search_path = '' as $$
  update chuk.deletions set
    is_finished = true, user_id = null, done = '{}', attempts = 0, requested_at = null,
    owner = null, lease_until = null
  where id = p_id;
  select 'null'::jsonb
$$;

select chuk.seal_functions();
-- The API looks again at which functions there are.
notify pgrst, 'reload schema';
insert into chuk.schema_migrations (name) values ('0005_deletions') on conflict do nothing;
