-- Customers, subscriptions, and the inbox of the payment provider's events.

create or replace function public.chuk_customer_of(p_user_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select jsonb_build_object('customer_id', (
    select customer_id from chuk.customers where user_id = p_user_id and not is_gone
  ))
$$;

create or replace function public.chuk_user_of(p_customer_id text) returns jsonb
language sql stable security definer set search_path = '' as $$
  select to_jsonb((
    select user_id from chuk.customers where customer_id = p_customer_id and not is_gone
  ))
$$;

create or replace function public.chuk_link_customer(
  p_user_id uuid, p_customer_id text, p_now timestamptz, p_free_messages integer
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  tied text;
begin
  -- The purse's lock makes two links at once come one after the other.
  perform chuk.locked_purse(p_user_id, p_free_messages, p_now);
  select customer_id into tied from chuk.customers where user_id = p_user_id and not is_gone;
  if found then
    return jsonb_build_object('customer_id', tied);
  end if;
  if chuk.is_locked(p_user_id) then
    raise exception 'the account is locked' using errcode = 'CK403';
  end if;
  insert into chuk.customers as c (customer_id, user_id) values (p_customer_id, p_user_id)
    on conflict (customer_id) do update set is_gone = false, user_id = p_user_id where c.is_gone;
  if not found then
    raise exception 'this customer is tied to another user' using errcode = 'CK400';
  end if;
  return jsonb_build_object('customer_id', p_customer_id);
end
$$;

-- The row stays, so that an erasure still knows which events were about this person.
create or replace function public.chuk_unlink_customer(p_customer_id text) returns jsonb
language sql security definer set search_path = '' as $$
  update chuk.customers set is_gone = true where customer_id = p_customer_id;
  delete from chuk.subscriptions where customer_id = p_customer_id;
  select 'null'::jsonb
$$;

create or replace function public.chuk_subscription(p_user_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select to_jsonb((select s from chuk.subscriptions s where s.user_id = p_user_id)) - 'user_id'
$$;

create or replace function public.chuk_save_subscription(
  p_user_id uuid, p_id text, p_customer_id text, p_status text, p_current_period_start timestamptz,
  p_current_period_end timestamptz, p_cancel_at_period_end boolean, p_now timestamptz,
  p_free_messages integer
) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
  -- What is said of an account under deletion comes too late to be kept.
  if chuk.is_locked(p_user_id) then
    return 'null';
  end if;
  perform chuk.locked_purse(p_user_id, p_free_messages, p_now);
  insert into chuk.subscriptions (
    user_id, id, customer_id, status, current_period_start, current_period_end,
    cancel_at_period_end
  ) values (
    p_user_id, p_id, p_customer_id, p_status, p_current_period_start, p_current_period_end,
    p_cancel_at_period_end
  ) on conflict (user_id) do update set
    id = excluded.id, customer_id = excluded.customer_id, status = excluded.status,
    current_period_start = excluded.current_period_start,
    current_period_end = excluded.current_period_end,
    cancel_at_period_end = excluded.cancel_at_period_end;
  return 'null';
end
$$;

create or replace function public.chuk_customers(p_after text, p_limit integer) returns jsonb
language sql stable security definer set search_path = '' as $$
  select chuk.as_rows(
    jsonb_agg(jsonb_build_array(customer_id, user_id) order by customer_id)
  )
  from (
    select customer_id, user_id from chuk.customers
    where not is_gone and (p_after is null or customer_id > p_after collate "C")
    order by customer_id limit p_limit
  ) page
$$;

-- False where the event is known and was applied.
create or replace function public.chuk_record_event(
  p_id text, p_type text, p_customer_id text, p_object_id text, p_created_at timestamptz,
  p_now timestamptz
) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
  insert into chuk.inbox (id, type, customer_id, object_id, created_at, received_at)
    values (p_id, p_type, p_customer_id, p_object_id, p_created_at, p_now)
    on conflict (id) do nothing;
  return to_jsonb((select applied_at is null from chuk.inbox where id = p_id));
end
$$;

create or replace function public.chuk_mark_applied(p_id text, p_now timestamptz) returns jsonb
language sql security definer set search_path = '' as $$
  update chuk.inbox set applied_at = p_now, error = null where id = p_id and applied_at is null;
  -- Whom an erased account's late event was about must not come back with it.
  update chuk.inbox i set customer_id = null, object_id = null
    where i.id = p_id
      and not exists (select from chuk.customers c where c.customer_id = i.customer_id);
  select 'null'::jsonb
$$;

create or replace function public.chuk_mark_failed(p_id text, p_error text) returns jsonb
language sql security definer set search_path = '' as $$
  update chuk.inbox set attempts = attempts + 1, error = p_error
    where id = p_id and applied_at is null;
  select 'null'::jsonb
$$;

create or replace function chuk.event_as_json(p_event chuk.inbox) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'id', p_event.id, 'type', p_event.type, 'customer_id', p_event.customer_id,
    'object_id', p_event.object_id, 'created_at', p_event.created_at,
    'attempts', p_event.attempts
  )
$$;

create or replace function public.chuk_event(p_id text) returns jsonb
language sql stable security definer set search_path = '' as $$
  select chuk.event_as_json(i) from chuk.inbox i where i.id = p_id
$$;

create or replace function public.chuk_pending_events(p_older_than timestamptz, p_limit integer)
returns jsonb
language sql stable security definer set search_path = '' as $$
  select chuk.as_rows(jsonb_agg(chuk.event_as_json(page) order by received_at, id))
  from (
    select * from chuk.inbox where applied_at is null and received_at < p_older_than
    order by received_at, id limit p_limit
  ) page
$$;

select chuk.seal_functions();
-- The API looks again at which functions there are.
notify pgrst, 'reload schema';
insert into chuk.schema_migrations (name) values ('0004_billing') on conflict do nothing;
