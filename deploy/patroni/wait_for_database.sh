#!/bin/sh
# Wait until a host of the database takes writes and has a synchronous standby. Brokers would wait, too, but log errors.
set -eu
PGPASSWORD=$(cat /passwords/superuser)
export PGPASSWORD
until [ "$(psql --no-psqlrc --quiet --tuples-only --no-align \
    "host=db1,db2,db3 user=postgres dbname=tsudoi target_session_attrs=read-write connect_timeout=2" --command \
    "SELECT count(*) > 0 FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')" 2>&1)" = t ]; do
  sleep 1
done
