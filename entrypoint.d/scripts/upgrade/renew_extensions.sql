-- Makes extensions anew that have no way from their version to this server's, as pgaudit has one version for each major: those that hold nothing,
-- since they own no table, view or sequence, and that nothing depends on, or dropping them fails.
DO $$
DECLARE
  extension record;
BEGIN
  FOR extension IN
    SELECT installed.extname AS name, installed.extnamespace::regnamespace AS schema
    FROM pg_extension AS installed
    JOIN pg_available_extensions AS available ON available.name = installed.extname
    WHERE installed.extversion <> available.default_version
      AND NOT EXISTS (
        SELECT FROM pg_extension_update_paths(installed.extname) AS way
        WHERE way.source = installed.extversion AND way.target = available.default_version AND way.path IS NOT NULL)
      AND NOT EXISTS (
        SELECT FROM pg_depend
        WHERE refclassid = 'pg_extension'::regclass AND refobjid = installed.oid AND classid = 'pg_class'::regclass AND deptype = 'e')
  LOOP
    EXECUTE format('DROP EXTENSION %I', extension.name);
    EXECUTE format('CREATE EXTENSION %I SCHEMA %s', extension.name, extension.schema);
  END LOOP;
END
$$;
