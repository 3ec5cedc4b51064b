#!/bin/sh
# Makes .venv from requirements.lock. Run by `make setup`; does nothing when nothing changed.
#
# The stamp holds the hash of everything the environment is made from, and the checkout's own path, because a virtual
# environment cannot be moved.
set -eu

say() { printf '%s\n' "$*" >&2; }
give_up() { say "make setup: $*"; exit 1; }

cd "$(dirname "$0")/../.."
root=$(pwd -P)
venv=$root/.venv
stamp=$venv/hutong-setup
python=${PYTHON:-python3}

command -v "$python" >/dev/null 2>&1 || give_up "there is no $python here; install Python 3.11 or newer."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    give_up "Python 3.11 or newer is needed, $python is $("$python" -c 'import platform; print(platform.python_version())')."

key=$("$python" - "$root" <<'PY'
import hashlib, pathlib, sys
parts = ["requirements.lock", "requirements-bootstrap.lock", "pyproject.toml", "deploy/embedded/setup.sh"]
digest = hashlib.sha256(f"{sys.argv[1]}\n{sys.version}".encode())
for part in parts:
    digest.update(pathlib.Path(part).read_bytes())
print(digest.hexdigest())
PY
)
if [ -x "$venv/bin/python" ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$key" ]; then
    exit 0
fi

# Why a step failed, in one sentence: a full disk looks like any other failed write in the installer's own words.
explain() {
    free=$("$python" -c 'import shutil; print(shutil.disk_usage(".").free // 2**20)')
    if [ "$free" -lt 200 ]; then
        give_up "the disk is full ($free MB left); the environment needs about 600 MB."
    fi
    give_up "$1"
}

# An environment of another path or another Python is created again; one that is only out of date is updated.
if [ -e "$venv" ]; then
    made_for=$(sed -n 's/^hutong-root = //p' "$venv/pyvenv.cfg" 2>/dev/null || true)
    if [ "$made_for" != "$root" ] || ! "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        say "Creating .venv again."
        rm -rf "$venv"
    fi
fi
if [ ! -e "$venv" ]; then
    "$python" -m venv "$venv" || { rm -rf "$venv"; explain "Python could not make a virtual environment (on Debian: install python3-venv)."; }
    printf 'hutong-root = %s\n' "$root" >> "$venv/pyvenv.cfg"
fi
rm -f "$stamp"

say "Step 1 of 3: the installer"
"$venv/bin/python" -m pip install --disable-pip-version-check --quiet --require-hashes -r requirements-bootstrap.lock ||
    explain "the installer (uv) could not be downloaded; is the package index reachable?"

say "Step 2 of 3: packages (about 130 MB to download the first time)"
# Copying works across file systems; a long timeout because slow lines are normal where this is installed.
UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-180} UV_LINK_MODE=${UV_LINK_MODE:-copy} VIRTUAL_ENV=$venv \
    "$venv/bin/uv" pip sync --require-hashes --compile-bytecode requirements.lock ||
    explain "the packages could not be installed; the lines above say which one. Run it again when the package index is reachable."

say "Step 3 of 3: the hutong command"
VIRTUAL_ENV=$venv "$venv/bin/uv" pip install --quiet --no-deps --no-build-isolation --offline --editable . ||
    explain "the hutong command could not be installed; the lines above say why."

printf '%s' "$key" > "$stamp"
say "Ready: .venv/bin/hutong"
