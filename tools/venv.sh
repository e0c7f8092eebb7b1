#!/bin/sh
# Makes a virtual environment with a current pip. Usage: tools/venv.sh DIRECTORY
# PYTHON names the interpreter (default: python3).
set -eu

python=${PYTHON:-python3}
directory=$1

rm -rf "$directory"
if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    "$python" -m venv "$directory"
elif "$python" -c 'import virtualenv' 2>/dev/null; then
    "$python" -m virtualenv -q "$directory"
elif "$python" -m pip --version >/dev/null 2>&1; then
    # No ensurepip: borrow virtualenv, outside the interpreter's own packages.
    borrowed=$(mktemp -d)
    trap 'rm -rf "$borrowed"' EXIT
    "$python" -m pip install -q --target "$borrowed" virtualenv
    PYTHONPATH=$borrowed "$python" -m virtualenv -q "$directory"
else
    echo "setup: $python has neither ensurepip, virtualenv nor pip: install python3-venv" >&2
    exit 1
fi
# 25.1 is the first pip that knows dependency groups.
"$directory/bin/python" -m pip install -q --disable-pip-version-check 'pip>=25.1'
