#!/bin/bash
# Measures plugind beside what it replaces, on this machine, in one run.
#
# usage: scripts/bench.sh [--quick] [--csv FILE] [--update-docs]
#
#   --quick        fewer and shorter rounds: a look of at most two minutes, not a measurement
#   --csv FILE     also write contender,load,metric,value,unit
#   --only NAME    calls, connections, plugins, single or lifecycle, instead of all; may be given
#                  several times
#   --update-docs  put the tables into docs/performance.md, the plots and the CSV into docs/plots
#
# docs/performance.md tells what is measured.  A figure out of reach is printed as MISSED; it does
# not change the exit code.  What could not be run is printed as "not run", with the reason.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib/common.sh"
source "$PLUGIND_ROOT/scripts/lib/toolchains.sh"
source "$PLUGIND_ROOT/scripts/lib/deps.sh"

arguments=()
update_docs=0
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --quick) arguments+=(--quick); shift ;;
    --csv) arguments+=(--csv "$(realpath -m "${2:?--csv needs a file}")"); shift 2 ;;
    --only) arguments+=(--only "${2:?--only needs a name}"); shift 2 ;;
    --update-docs) update_docs=1; shift ;;
    *) die "unknown option $1; see --help" ;;
  esac
done

build=${PLUGIND_BUILD:-$PLUGIND_ROOT/build}
if ((update_docs)); then
  install_dependencies plots
  arguments+=(--update-docs "$PLUGIND_ROOT/docs/performance.md")
else
  install_dependencies
fi
"$PLUGIND_ROOT/scripts/build.sh" "$build" daemon/plugind plugins/echo-cpp/echo-cpp \
  tests/bench/bench_{raw_socket,relay,grpcpp,grpcpp_proxy,libplugind,crash,lifecycle} \
  tests/instructions/forward_instructions
step 'staging the plugins'
"$PLUGIND_ROOT/scripts/build-plugins.sh" "$build/plugins-staged" >&2
if have_go; then
  "$PLUGIND_ROOT/tests/bench/go/build.sh" "$build/tests/bench" >&2
  arguments+=(--go-worker "$build/tests/bench/bench-go")
else
  say "the contenders in Go are not run: $(install_hint go)"
fi
if proxies=$(unpack_proxies); then
  arguments+=(--tools "$proxies")
else
  say 'nginx and HAProxy are not run unless they are installed'
fi
step 'measuring'
exec python3 "$PLUGIND_ROOT/tests/bench/bench.py" --build "$build" \
  --plugins "$build/plugins-staged" "${arguments[@]}"
