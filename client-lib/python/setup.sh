#!/usr/bin/env bash
# Makes .venv/ with the pinned requirements and this package, and .cache/stubs/ with the stubs of
# the plugins' services.  Quick when nothing has changed.  $PYTHON picks the interpreter.
set -euo pipefail
cd "$(dirname "$0")"
python=${PYTHON:-/usr/bin/python3}
protos=../../plugins/proto

stamp=$(cat setup.sh requirements.txt pyproject.toml "$protos"/*.proto | cksum)
if [[ "$(cat .venv/stamp 2>/dev/null)" == "$stamp $python" ]]; then
  exit 0
fi

rm -rf .venv .cache/stubs
"$python" -m venv .venv
.venv/bin/pip install --quiet --require-hashes --requirement requirements.txt
.venv/bin/pip install --quiet --no-deps --no-build-isolation --editable .

mkdir -p .cache/stubs
.venv/bin/python -m grpc_tools.protoc --proto_path="$protos" \
  --python_out=.cache/stubs --grpc_python_out=.cache/stubs "$protos"/*.proto

echo "$stamp $python" >.venv/stamp
