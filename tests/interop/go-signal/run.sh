#!/bin/bash
# Shows why plugind exists: a Go program that starts plugins through a core in its own process dies
# of that core's SIGCHLD handler; the same program, with the same plugins, through plugind does not.
#
# usage: tests/interop/go-signal/run.sh [--build-dir DIR] [TEST...]
#
#   --build-dir DIR  where plugind, libplugind and the staged plugins are; build/ unless given
#   TEST             as unittest names it, for example InProcess or ThroughPlugind.test_purego
#
# Needs Go, Rust, protoc and a C compiler; README.md tells what is shown.
set -euo pipefail
cd "$(dirname "$0")"
here=$PWD
# shellcheck source-path=SCRIPTDIR/../../..
source ../../../scripts/lib/common.sh

build_dir=${PLUGIND_BUILD:-$PLUGIND_ROOT/build}
if [[ ${1:-} == -h || ${1:-} == --help ]]; then
  usage
  exit 0
fi
if [[ ${1:-} == --build-dir ]]; then
  build_dir=${2:?--build-dir needs a directory}
  shift 2
fi
build_dir=$(cd "$build_dir" && pwd)
out=$build_dir/go-signal
mkdir -p "$out"
[[ -x $build_dir/daemon/plugind ]] || die "there is no $build_dir/daemon/plugind: scripts/build.sh"

"$PLUGIND_ROOT/scripts/build-plugins.sh" --strict --only text --build-dir "$build_dir" "$out"
cargo build --quiet --locked --release --manifest-path core/Cargo.toml
cp -f "$CARGO_TARGET_DIR/release/libcore_in_process.so" "$out/"

use_built_libplugind "$build_dir"
export CGO_LDFLAGS="$CGO_LDFLAGS -L$out -Wl,-rpath,$out"
go_build() { # PROGRAM CGO_ENABLED
  local kind=cgo
  (($2)) || kind=purego
  CGO_ENABLED=$2 go build -trimpath -buildvcs=false -o "$out/$1-$kind" "./$1"
}
go_build in-process 1
go_build in-process 0
go_build through-plugind 1
go_build through-plugind 0

export GO_SIGNAL_OUT=$out GO_SIGNAL_BUILD=$build_dir
if [[ -n ${PLUGIND_RESULTS:-} ]]; then
  "$PLUGIND_ROOT/scripts/lib/run_unittest.py" "$here/test_go_signal.py"
else
  python3 "$here/test_go_signal.py" --verbose "$@"
fi
