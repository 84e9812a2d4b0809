#!/bin/sh
# Makes a role per service that may do two things in the database: connect, and create the schema that it then owns. No role
# sees another's tables. The postgres image runs this once, when its volume is empty. Passwords come from the environment.
set -eu
psql --set ON_ERROR_STOP=1 --quiet --no-psqlrc --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\getenv auth AUTH_DATABASE_PASSWORD
\getenv license LICENSE_DATABASE_PASSWORD
\getenv analytics ANALYTICS_DATABASE_PASSWORD
\getenv admin ADMIN_DATABASE_PASSWORD
CREATE ROLE latchkey_auth LOGIN PASSWORD :'auth';
CREATE ROLE latchkey_license LOGIN PASSWORD :'license';
CREATE ROLE latchkey_analytics LOGIN PASSWORD :'analytics';
CREATE ROLE latchkey_admin LOGIN PASSWORD :'admin';
SELECT current_database() AS database \gset
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CONNECT, CREATE ON DATABASE :"database" TO latchkey_auth, latchkey_license, latchkey_analytics, latchkey_admin;
SQL
