-- The books: tables, who may read them, and what the app listens to.
--
-- Paste into the SQL editor of a Supabase project, or let `chuk migrate` apply it. Running it again
-- changes nothing. Amounts in columns named _micro are millionths of a euro; the app's own columns
-- are euros. Only functions of this schema write money; people read their own rows, nothing more.

create schema if not exists chuk;
revoke all on schema chuk from public, anon, authenticated;

create table if not exists chuk.schema_migrations (
  name text primary key,
  applied_at timestamptz not null default now()
);

-- The purse. The app reads it, and hears of its updates.
create table if not exists public.user_billing (
  user_id uuid primary key,
  total_credits_allocated numeric(14, 6) not null default 0,
  credits_last_renewed_period timestamptz,
  free_messages_total integer not null default 0,
  free_messages_used integer not null default 0
);
alter table public.user_billing
  add column if not exists available_micro bigint not null default 0,
  add column if not exists held_micro bigint not null default 0,
  add column if not exists allocated_micro bigint not null default 0,
  add column if not exists epoch bigint not null default 0,
  add column if not exists daily_cap_micro bigint,
  add column if not exists monthly_cap_micro bigint,
  add column if not exists updated_at timestamptz not null default now();
alter table public.user_billing drop constraint if exists user_billing_sane;
alter table public.user_billing add constraint user_billing_sane
  check (held_micro >= 0 and allocated_micro >= 0 and free_messages_used >= 0);
comment on column public.user_billing.available_micro is 'Net of holds; below 0 by one turn''s excess at most.';
comment on column public.user_billing.epoch is
  'Counts renewals and lapses: what a hold of an older epoch gives back lapses at once.';

-- The app reads euros, the server counts in millionths: one trigger keeps them equal.
create or replace function chuk.euros_follow() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.total_credits_allocated := new.allocated_micro::numeric / 1000000;
  return new;
end
$$;
drop trigger if exists euros_follow on public.user_billing;
create trigger euros_follow before insert or update on public.user_billing
  for each row execute function chuk.euros_follow();

-- One row for each finished turn, image, transcription, conversion and speech.
create table if not exists public.usage_logs (
  hold_id text collate "C" primary key,
  user_id uuid not null,
  model_id text not null,
  provider_slug text not null,
  prompt_tokens bigint not null,
  completion_tokens bigint not null,
  total_tokens bigint not null,
  total_cost_usd numeric not null,
  credits_deducted_eur numeric(14, 6) not null,
  created_at timestamptz not null,
  operation text not null,
  held_micro bigint not null,
  charged_micro bigint not null,
  is_free_message boolean not null,
  outcome text not null,
  basis text not null,
  is_zdr boolean not null,
  generation_id text,
  tags jsonb not null default '{}'
);
create index if not exists usage_logs_newest
  on public.usage_logs (user_id, created_at desc, hold_id desc);
create index if not exists usage_logs_unknown
  on public.usage_logs (created_at desc) where basis = 'unknown';

create table if not exists public.profiles (
  id uuid primary key references auth.users (id) on delete cascade,
  display_name text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

-- Every change of a purse. Each column says by how much a figure of the purse changes.
create table if not exists chuk.ledger_entries (
  id bigint generated always as identity primary key,
  user_id uuid not null,
  kind text not null check (kind in ('grant', 'hold', 'settle', 'release', 'lapse', 'adjust')),
  reference text not null unique,
  available_micro bigint not null default 0,
  held_micro bigint not null default 0,
  free_messages integer not null default 0,
  epoch bigint not null,
  hold_id text,
  grant_reference text,
  asked_micro bigint,
  period timestamptz,
  created_at timestamptz not null
);
create index if not exists ledger_entries_user on chuk.ledger_entries (user_id);
create index if not exists ledger_entries_grant
  on chuk.ledger_entries (grant_reference) where grant_reference is not null;

create or replace function chuk.append_only() returns trigger
language plpgsql set search_path = '' as $$
begin
  -- Only the erasure of a whole person, which says so for its own transaction, may delete.
  if tg_op = 'DELETE' and current_setting('chuk.erasing', true) = 'on' then
    return old;
  end if;
  raise exception 'the ledger is only ever added to' using errcode = 'CK500';
end
$$;
drop trigger if exists append_only on chuk.ledger_entries;
create trigger append_only before update or delete on chuk.ledger_entries
  for each row execute function chuk.append_only();
drop trigger if exists never_truncated on chuk.ledger_entries;
create trigger never_truncated before truncate on chuk.ledger_entries
  for each statement execute function chuk.append_only();

create table if not exists chuk.holds (
  id text primary key,
  user_id uuid not null,
  operation text not null,
  model_id text not null,
  provider_slug text not null,
  amount_micro bigint not null check (amount_micro >= 0),
  is_free_message boolean not null,
  epoch bigint not null,
  gives_nothing_back boolean not null default false,
  state text not null default 'open' check (state in ('open', 'settled', 'released')),
  charged_micro bigint not null default 0 check (charged_micro >= 0),
  owner text not null,
  lease_until timestamptz not null,
  attempts integer not null default 0,
  generation_id text,
  prompt_tokens bigint not null default 0,
  completion_tokens bigint not null default 0,
  cost_micro bigint not null default 0,
  cost_usd numeric not null default 0,
  opened_at timestamptz not null,
  resolved_at timestamptz
);
create index if not exists holds_user on chuk.holds (user_id);
create index if not exists holds_open_lease on chuk.holds (lease_until) where state = 'open';
create index if not exists holds_open_owner on chuk.holds (owner) where state = 'open';

-- What remains of the usage of people who left: sums of a month, without anybody's name.
create table if not exists chuk.usage_totals (
  month date not null,
  operation text not null,
  model_id text not null,
  provider_slug text not null,
  requests bigint not null,
  prompt_tokens bigint not null,
  completion_tokens bigint not null,
  total_tokens bigint not null,
  cost_usd numeric not null,
  charged_micro bigint not null,
  primary key (month, operation, model_id, provider_slug)
);

create table if not exists chuk.customers (
  customer_id text collate "C" primary key,
  user_id uuid not null,
  is_gone boolean not null default false
);
create unique index if not exists customers_user on chuk.customers (user_id) where not is_gone;

create table if not exists chuk.subscriptions (
  user_id uuid primary key,
  id text not null,
  customer_id text not null,
  status text not null,
  current_period_start timestamptz,
  current_period_end timestamptz,
  cancel_at_period_end boolean not null
);

create table if not exists chuk.inbox (
  id text primary key,
  type text not null,
  customer_id text,
  object_id text,
  created_at timestamptz not null,
  received_at timestamptz not null,
  applied_at timestamptz,
  attempts integer not null default 0,
  error text
);
create index if not exists inbox_pending on chuk.inbox (received_at) where applied_at is null;
create index if not exists inbox_customer on chuk.inbox (customer_id);

create table if not exists chuk.deletions (
  id uuid primary key default gen_random_uuid(),
  user_hash text not null unique,
  user_id uuid,
  done text[] not null default '{}',
  attempts integer not null default 0,
  requested_at timestamptz,
  due_at timestamptz not null,
  owner text,
  lease_until timestamptz,
  is_finished boolean not null default false
);
create index if not exists deletions_due on chuk.deletions (due_at) where not is_finished;

-- One row: what makes the hashes of erased users unguessable.
create table if not exists chuk.deletion_salt (
  only_one boolean primary key default true check (only_one),
  salt text not null
);
insert into chuk.deletion_salt (salt)
  values (gen_random_uuid()::text || gen_random_uuid()::text) on conflict do nothing;

-- Row-level security everywhere; a Supabase project grants everything to everybody by default.
alter table public.user_billing enable row level security;
alter table public.usage_logs enable row level security;
alter table public.profiles enable row level security;
alter table chuk.schema_migrations enable row level security;
alter table chuk.ledger_entries enable row level security;
alter table chuk.holds enable row level security;
alter table chuk.usage_totals enable row level security;
alter table chuk.customers enable row level security;
alter table chuk.subscriptions enable row level security;
alter table chuk.inbox enable row level security;
alter table chuk.deletions enable row level security;
alter table chuk.deletion_salt enable row level security;
revoke all on all tables in schema chuk from public, anon, authenticated;

revoke all on public.user_billing, public.usage_logs, public.profiles from public, anon, authenticated;
grant select on public.user_billing, public.usage_logs to authenticated;
grant select, insert, update on public.profiles to authenticated;
revoke insert, update, delete, truncate on public.user_billing, public.usage_logs from service_role;
grant select on public.user_billing, public.usage_logs to service_role;

drop policy if exists "own purse" on public.user_billing;
create policy "own purse" on public.user_billing
  for select to authenticated using (user_id = (select auth.uid()));
drop policy if exists "own usage" on public.usage_logs;
create policy "own usage" on public.usage_logs
  for select to authenticated using (user_id = (select auth.uid()));
drop policy if exists "own profile" on public.profiles;
create policy "own profile" on public.profiles
  for select to authenticated using (id = (select auth.uid()));
drop policy if exists "make own profile" on public.profiles;
create policy "make own profile" on public.profiles
  for insert to authenticated with check (id = (select auth.uid()));
drop policy if exists "change own profile" on public.profiles;
create policy "change own profile" on public.profiles
  for update to authenticated
  using (id = (select auth.uid())) with check (id = (select auth.uid()));

do $$
begin
  if not exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime') then
    create publication supabase_realtime;
  end if;
  if not exists (
    select from pg_catalog.pg_publication_tables
    where pubname = 'supabase_realtime' and schemaname = 'public' and tablename = 'user_billing'
  ) then
    alter publication supabase_realtime add table public.user_billing;
  end if;
end
$$;

-- Called at the end of each file that makes functions: only the server may call them.
create or replace function chuk.seal_functions() returns void
language plpgsql set search_path = '' as $$
declare
  made record;
begin
  for made in
    select p.oid::regprocedure as signature, n.nspname as room
    from pg_catalog.pg_proc p
    join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'chuk' or (n.nspname = 'public' and p.proname like 'chuk\_%')
  loop
    execute format(
      'revoke all on function %s from public, anon, authenticated, service_role', made.signature
    );
    if made.room = 'public' then
      execute format('grant execute on function %s to service_role', made.signature);
    end if;
  end loop;
end
$$;
select chuk.seal_functions();

insert into chuk.schema_migrations (name) values ('0001_tables') on conflict do nothing;
