#!/usr/bin/env bash
# Runs the tests against $PLUGIND_LIBRARY, else the libplugind that the loader finds, and checks the
# types.  Reports in TAP when the output is no terminal.
set -euo pipefail
cd "$(dirname "$0")"
./setup.sh >&2
reporter=tap
if [[ -t 1 ]]; then reporter=spec; fi
node --test --test-reporter="$reporter" test/*.test.js
node_modules/.bin/tsc --project test/tsconfig.json
