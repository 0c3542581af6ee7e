-- The two private buckets of the app: one folder per user, named after the user's id.

insert into storage.buckets (id, name, public)
  values ('images', 'images', false), ('project-files', 'project-files', false)
  on conflict (id) do update set public = false;

-- Tokens outlive their account by up to an hour, and the storage service asks nobody about them:
-- without this, a file could be added after the folder was emptied for good.
create or replace function public.account_is_open() returns boolean
language sql stable security definer set search_path = '' as $$
  select not chuk.is_locked(auth.uid())
$$;
revoke all on function public.account_is_open() from public, anon;
grant execute on function public.account_is_open() to authenticated, service_role;

drop policy if exists "chuk own folder: read" on storage.objects;
create policy "chuk own folder: read" on storage.objects
  for select to authenticated using (
    bucket_id in ('images', 'project-files')
    and (storage.foldername(name))[1] = (select auth.uid())::text
  );
drop policy if exists "chuk own folder: add" on storage.objects;
create policy "chuk own folder: add" on storage.objects
  for insert to authenticated with check (
    bucket_id in ('images', 'project-files')
    and (storage.foldername(name))[1] = (select auth.uid())::text
  );
drop policy if exists "chuk own folder: change" on storage.objects;
create policy "chuk own folder: change" on storage.objects
  for update to authenticated using (
    bucket_id in ('images', 'project-files')
    and (storage.foldername(name))[1] = (select auth.uid())::text
  ) with check (
    bucket_id in ('images', 'project-files')
    and (storage.foldername(name))[1] = (select auth.uid())::text
  );
drop policy if exists "chuk own folder: remove" on storage.objects;
create policy "chuk own folder: remove" on storage.objects
  for delete to authenticated using (
    bucket_id in ('images', 'project-files')
    and (storage.foldername(name))[1] = (select auth.uid())::text
  );

-- Restrictive: it holds beside whatever other policies the project has.
drop policy if exists "chuk locked account: adds nothing" on storage.objects;
create policy "chuk locked account: adds nothing" on storage.objects
  as restrictive for insert to authenticated with check (
    bucket_id not in ('images', 'project-files') or (select public.account_is_open())
  );
drop policy if exists "chuk locked account: moves nothing" on storage.objects;
create policy "chuk locked account: moves nothing" on storage.objects
  as restrictive for update to authenticated using (
    bucket_id not in ('images', 'project-files') or (select public.account_is_open())
  );

-- The API looks again at which functions there are.
notify pgrst, 'reload schema';
insert into chuk.schema_migrations (name) values ('0006_storage') on conflict do nothing;
