#!/bin/bash
# Measures plugind beside what it replaces, on this machine, in one run.
#
# usage: scripts/bench.sh [--quick] [--csv FILE] [--update-docs]
#
#   --quick        fewer and shorter rounds: a look, not a measurement
#   --csv FILE     also write contender,load,metric,value,unit
#   --update-docs  put the table into docs/performance.md
#
# docs/performance.md tells what is measured.  A figure out of reach is printed as MISSED; it does
# not change the exit code.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib/common.sh"
source "$PLUGIND_ROOT/scripts/lib/toolchains.sh"
source "$PLUGIND_ROOT/scripts/lib/deps.sh"

arguments=()
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --quick) arguments+=(--quick); shift ;;
    --csv) arguments+=(--csv "$(realpath -m "${2:?--csv needs a file}")"); shift 2 ;;
    --update-docs) arguments+=(--update-docs "$PLUGIND_ROOT/docs/performance.md"); shift ;;
    *) die "unknown option $1; see --help" ;;
  esac
done

build=${PLUGIND_BUILD:-$PLUGIND_ROOT/build}
install_dependencies
"$PLUGIND_ROOT/scripts/build.sh" "$build" daemon/plugind plugins/echo-cpp/echo-cpp \
  tests/bench/bench_{raw_socket,grpcpp,libplugind}
step 'staging the plugins'
"$PLUGIND_ROOT/scripts/build-plugins.sh" "$build/plugins-staged" >&2
if have_go; then
  "$PLUGIND_ROOT/tests/bench/go/build.sh" "$build/tests/bench" >&2
  arguments+=(--go-worker "$build/tests/bench/bench-go")
else
  say "the contenders in Go are not run: $(install_hint go)"
fi
step 'measuring'
exec python3 "$PLUGIND_ROOT/tests/bench/bench.py" --build "$build" \
  --plugins "$build/plugins-staged" "${arguments[@]}"
