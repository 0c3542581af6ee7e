-- What `chuk doctor` asks: whether the project is as these files have left it.

create or replace function public.chuk_condition() returns jsonb
language sql stable security definer set search_path = '' as $$
  select jsonb_build_object(
    'migrations', (
      select coalesce(jsonb_agg(name order by name), '[]') from chuk.schema_migrations
    ),
    'unguarded', (
      select coalesce(jsonb_agg(n.nspname || '.' || c.relname order by n.nspname, c.relname), '[]')
      from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p') and not c.relrowsecurity and (
        n.nspname = 'chuk'
        or (n.nspname = 'public' and c.relname in ('user_billing', 'usage_logs', 'profiles'))
      )
    ),
    'published', (
      select coalesce(jsonb_agg(schemaname || '.' || tablename order by tablename), '[]')
      from pg_catalog.pg_publication_tables where pubname = 'supabase_realtime'
    ),
    'open_buckets', (
      select coalesce(jsonb_agg(id order by id), '[]')
      from storage.buckets where id in ('images', 'project-files') and public
    )
  )
$$;

select chuk.seal_functions();
-- The API looks again at which functions there are.
notify pgrst, 'reload schema';
insert into chuk.schema_migrations (name) values ('0009_condition') on conflict do nothing;
