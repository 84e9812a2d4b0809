#!/bin/sh
# Makes a role and a schema per service. A role may connect and use the schema that it owns, and no more: it sees nothing of
# another's, and creates no schema. The postgres image runs this once, when its volume is empty. Each password is that of the URL
# in the file that the service reads, too.
set -eu
password() { sed -n 's#^[a-z]*://[^:]*:\([^@]*\)@.*#\1#p' "$1"; }
auth=$(password "$AUTH_DATABASE_URL_FILE") license=$(password "$LICENSE_DATABASE_URL_FILE") \
analytics=$(password "$ANALYTICS_DATABASE_URL_FILE") admin=$(password "$ADMIN_DATABASE_URL_FILE") \
  psql --set ON_ERROR_STOP=1 --quiet --no-psqlrc --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\getenv auth auth
\getenv license license
\getenv analytics analytics
\getenv admin admin
CREATE ROLE latchkey_auth LOGIN PASSWORD :'auth';
CREATE ROLE latchkey_license LOGIN PASSWORD :'license';
CREATE ROLE latchkey_analytics LOGIN PASSWORD :'analytics';
CREATE ROLE latchkey_admin LOGIN PASSWORD :'admin';
SELECT current_database() AS database \gset
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO latchkey_auth, latchkey_license, latchkey_analytics, latchkey_admin;
CREATE SCHEMA auth AUTHORIZATION latchkey_auth;
CREATE SCHEMA license AUTHORIZATION latchkey_license;
CREATE SCHEMA analytics AUTHORIZATION latchkey_analytics;
CREATE SCHEMA admin AUTHORIZATION latchkey_admin;
SQL
