#!/bin/bash
# Runs one suite: run_suite.sh FILE.  Used by test.sh, which sets the environment.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/common.sh"
source "$PLUGIND_ROOT/scripts/lib/toolchains.sh"
source "$PLUGIND_ROOT/scripts/lib/report.sh"
cd "$PLUGIND_ROOT"
source "$1"
suite_run
