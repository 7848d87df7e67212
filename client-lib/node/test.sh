#!/usr/bin/env bash
# Runs the tests against $PLUGIND_LIBRARY, else the libplugind that the loader finds.
set -euo pipefail
cd "$(dirname "$0")"
./setup.sh >&2
exec npm test --silent
