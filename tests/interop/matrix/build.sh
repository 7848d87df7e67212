#!/bin/bash
# Builds the matrix's twelve programs, each in the way of its language.
#
# usage: tests/interop/matrix/build.sh OUTDIR [BUILD]
#
#   OUTDIR  gets the programs in Go and Rust; those in Java, Python and JavaScript run where they are
#   BUILD   the configured meson build directory that makes those in C++; build/ unless given
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR/../../..
source ../../../scripts/lib/common.sh
source "$PLUGIND_ROOT/scripts/lib/maven.sh"

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
  usage
  exit 0
fi
mkdir -p "${1:?no OUTDIR; see --help}"
out=$(cd "$1" && pwd)
build=${2:-$PLUGIND_ROOT/build}

for program in server client; do
  env -C go GOWORK=off CGO_ENABLED=0 \
    go build -mod=readonly -trimpath -buildvcs=false -o "$out/grpc-go-$program" "./$program"
done
cargo build --quiet --locked --release --manifest-path rust/Cargo.toml
cp -f "$CARGO_TARGET_DIR"/release/matrix-tonic-{server,client} "$out/"
ninja -C "$build" tests/interop/matrix/cpp/matrix-{server,client}
python/setup.sh
node/setup.sh
maven_build java matrix.proto
