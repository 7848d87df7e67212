#!/usr/bin/env bash
# Makes .venv/ with the pinned requirements, and .cache/stubs/ with the code of matrix.proto.  Quick
# when nothing has changed.  $PYTHON picks the interpreter.
set -euo pipefail
cd "$(dirname "$0")"
python=${PYTHON:-/usr/bin/python3}

stamp=$(cat setup.sh requirements.txt ../matrix.proto | cksum)
if [[ "$(cat .venv/stamp 2>/dev/null)" == "$stamp $python" ]]; then
  exit 0
fi

rm -rf .venv .cache/stubs
"$python" -m venv .venv
.venv/bin/pip install --quiet --require-hashes --requirement requirements.txt
mkdir -p .cache/stubs
.venv/bin/python -m grpc_tools.protoc --proto_path=.. --python_out=.cache/stubs \
  --grpc_python_out=.cache/stubs ../matrix.proto

echo "$stamp $python" >.venv/stamp
