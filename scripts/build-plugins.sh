#!/bin/bash
# Builds the real plugins and stages them, each executable beside its manifest.
#
# usage: scripts/build-plugins.sh [--only NAME]... [--build-dir DIR] [--strict] OUTDIR
#
#   OUTDIR           a manifests directory for plugind when this is done:
#                    kv.toml + kv-go-grpc, text.toml + text-rust, echo.toml + echo-cpp
#   --only NAME      kv, text or echo; may be given several times
#   --build-dir DIR  the meson build directory that makes echo-cpp; build/ unless given
#   --strict         a missing toolchain is a failure
#
# Prints a line for each plugin that cannot be built here, and why; otherwise nothing unless
# something fails.  What is up to date is neither built nor copied again, and a plugin may be staged
# while an older build of it runs.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib/common.sh"
source "$PLUGIND_ROOT/scripts/lib/toolchains.sh"

outdir='' only=() build_dir=${PLUGIND_BUILD:-$PLUGIND_ROOT/build} strict=0
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --only)
      [[ ${2:-} =~ ^(kv|text|echo)$ ]] || die "no plugin is called '${2:-}': kv, text or echo"
      only+=("$2"); shift 2 ;;
    --build-dir) build_dir=${2:?--build-dir needs a directory}; shift 2 ;;
    --strict) strict=1; shift ;;
    -*) die "unknown option $1; see --help" ;;
    *)
      [[ -z $outdir ]] || die 'more than one OUTDIR; see --help'
      outdir=$1; shift ;;
  esac
done
[[ -n $outdir ]] || die 'no OUTDIR; see --help'
mkdir -p "$outdir"

wanted() {
  ((${#only[@]} == 0)) || [[ " ${only[*]} " == *" $1 "* ]]
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
quietly() {
  "$@" </dev/null >"$log" 2>&1 || {
    cat "$log" >&2
    die "this failed: $*"
  }
}

missing=0
not_built() { # NAME WHY
  printf 'not built: %s: %s\n' "$1" "$2"
  missing=1
}

# Renames into place: an executable that runs cannot be written to.
stage() {
  local file
  for file; do
    local to=$outdir/${file##*/}
    cmp -s "$file" "$to" && continue
    cp -p "$file" "$to.new"
    mv -f "$to.new" "$to"
  done
}

build_kv() {
  local minimum
  minimum=$(sed -n 's/^go \([0-9.]*\).*/\1/p' "$PLUGIND_ROOT/plugins/kv-go/go.mod")
  if ! _have go "$minimum" env GOTOOLCHAIN=local go version; then
    not_built kv "needs Go >= $minimum: https://go.dev/dl/"
    return
  fi
  local binary=$PLUGIND_CACHE/kv-go/kv-go-grpc
  mkdir -p "${binary%/*}"
  # -mod=readonly: the versions are those of go.sum, whatever GOFLAGS says.
  quietly env -C "$PLUGIND_ROOT/plugins/kv-go" GOWORK=off CGO_ENABLED=0 \
    go build -mod=readonly -trimpath -buildvcs=false -o "$binary" \
    github.com/hashicorp/go-plugin/examples/grpc/plugin-go-grpc
  stage "$binary" "$PLUGIND_ROOT/plugins/kv-go/kv.toml"
}

build_text() {
  local manifest=$PLUGIND_ROOT/plugins/text-rust/Cargo.toml minimum
  minimum=$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' "$manifest")
  if ! _have cargo "$minimum" cargo --version; then
    not_built text "needs Rust >= $minimum: https://rustup.rs"
    return
  fi
  if ! command -v protoc >/dev/null; then
    not_built text 'needs protoc: apt-get install protobuf-compiler'
    return
  fi
  quietly cargo build --locked --release --manifest-path "$manifest"
  stage "$CARGO_TARGET_DIR/release/text-rust" "$PLUGIND_ROOT/plugins/text-rust/text.toml"
}

build_echo() {
  if [[ ! -f $build_dir/build.ninja ]]; then
    not_built echo "needs a configured build directory, and $build_dir is none: scripts/build.sh"
    return
  fi
  quietly ninja -C "$build_dir" plugins/echo-cpp/echo-cpp
  stage "$build_dir/plugins/echo-cpp/echo-cpp" "$PLUGIND_ROOT/plugins/echo-cpp/echo.toml"
}

for plugin in kv text echo; do
  if wanted "$plugin"; then "build_$plugin"; fi
done
((missing == 0 || strict == 0)) || exit 1
