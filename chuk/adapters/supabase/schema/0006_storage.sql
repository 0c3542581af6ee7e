-- The two private buckets of the app: one folder per user, named after the user's id.

insert into storage.buckets (id, name, public)
  values ('images', 'images', false), ('project-files', 'project-files', false)
  on conflict (id) do update set public = false;

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

insert into chuk.schema_migrations (name) values ('0006_storage') on conflict do nothing;
