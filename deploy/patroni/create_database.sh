#!/bin/sh
# Make the role and the database of the brokers. Patroni calls it once, at the first start of the first machine, with a
# connection string of the superuser.
set -eu
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set password="$TSUDOI_PASSWORD" "$1" <<'SQL'
CREATE ROLE tsudoi LOGIN PASSWORD :'password';
-- To see whether a standby is synchronous.
GRANT pg_monitor TO tsudoi;
CREATE DATABASE tsudoi OWNER tsudoi;
SQL
