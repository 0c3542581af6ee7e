-- What a Supabase project has before anything is installed in it: roles, and the parts of its
-- schemas that the migrations touch.
-- https://supabase.com/docs/guides/database/postgres/roles

do $$
begin
  -- Roles belong to the whole server, not to one database.
  if not exists (select from pg_catalog.pg_roles where rolname = 'anon') then
    create role anon nologin noinherit;
    create role authenticated nologin noinherit;
    create role service_role nologin noinherit bypassrls;
    -- Who an operator is: owns what the project makes, and is no superuser.
    create role project_owner login bypassrls;
    grant anon, authenticated, service_role to project_owner;
  end if;
end
$$;

do $$
begin
  execute format('grant create on database %I to project_owner', current_database());
end
$$;
grant create on schema public to project_owner;
grant usage on schema public to anon, authenticated, service_role;
alter default privileges for role project_owner in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges for role project_owner in schema public grant all on functions to anon, authenticated, service_role;
alter default privileges for role project_owner in schema public grant all on sequences to anon, authenticated, service_role;

create schema auth;
grant usage on schema auth to anon, authenticated, service_role, project_owner;
create table auth.users (
  id uuid primary key,
  email text,
  created_at timestamptz not null default now()
);
grant all on auth.users to project_owner;
create function auth.jwt() returns jsonb
language sql stable as $$
  select nullif(current_setting('request.jwt.claims', true), '')::jsonb
$$;
create function auth.uid() returns uuid
language sql stable as $$ select (auth.jwt() ->> 'sub')::uuid $$;
create function auth.role() returns text
language sql stable as $$ select auth.jwt() ->> 'role' $$;

create schema storage;
grant usage on schema storage to anon, authenticated, service_role, project_owner;
create table storage.buckets (
  id text primary key,
  name text not null unique,
  public boolean default false
);
create table storage.objects (
  id uuid primary key default gen_random_uuid(),
  bucket_id text references storage.buckets (id),
  name text collate "C",
  owner_id text,
  created_at timestamptz not null default now(),
  unique (bucket_id, name)
);
alter table storage.buckets enable row level security;
alter table storage.objects enable row level security;
grant all on storage.buckets, storage.objects to anon, authenticated, service_role;
grant all on storage.buckets to project_owner;
-- In a project, an extension lets its owner make policies on this table.
grant usage, create on schema storage to project_owner;
alter table storage.objects owner to project_owner;
create function storage.foldername(name text) returns text[]
language sql immutable as $$
  select parts[1:array_length(parts, 1) - 1] from (select string_to_array(name, '/') as parts) p
$$;

create publication supabase_realtime;
alter publication supabase_realtime owner to project_owner;
