#!/bin/sh
# The data directory at the first start, then the server with the words of the command.
set -eu

if [ ! -e "$PGDATA/PG_VERSION" ]; then
    : "${POSTGRES_PASSWORD:?is not set}"
    file=$(mktemp)
    printf '%s\n' "$POSTGRES_PASSWORD" >"$file"
    # shellcheck disable=SC2086 # several words
    initdb --username="${POSTGRES_USER:-postgres}" --pwfile="$file" --auth=scram-sha-256 --no-instructions \
        ${POSTGRES_INITDB_ARGS:-}
    rm "$file"
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
fi
unset POSTGRES_PASSWORD
exec "$@"
