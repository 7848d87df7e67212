#!/usr/bin/env bash
# Installs node_modules/ from the lock file.  Quick when nothing has changed.
set -euo pipefail
cd "$(dirname "$0")"

stamp=$(cat setup.sh package.json package-lock.json .npmrc | cksum)
if [[ "$(cat node_modules/.stamp 2>/dev/null)" == "$stamp $(node --version)" ]]; then
  exit 0
fi

npm ci --no-audit --no-fund --loglevel=error
echo "$stamp $(node --version)" >node_modules/.stamp
