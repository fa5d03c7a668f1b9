#!/bin/sh
# Make the database's passwords at the first start: in /passwords for the machines of the database, and in /password that
# of the brokers as a password file.
set -eu
umask 027
for name in superuser replication tsudoi; do
  if [ ! -s "/passwords/$name" ]; then
    python -c 'import secrets; print(secrets.token_urlsafe(24))' > "/passwords/$name.new"
    mv "/passwords/$name.new" "/passwords/$name"
  fi
done
umask 077
echo "*:*:tsudoi:tsudoi:$(cat /passwords/tsudoi)" > /password/pgpass.new
mv /password/pgpass.new /password/pgpass
