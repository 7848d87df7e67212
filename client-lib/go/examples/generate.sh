#!/bin/sh
# Generates the Go code of text.proto into OUTDIR/textpb and that of the control API into
# OUTDIR/plugindpb; OUTDIR is this folder unless given.  Needs protoc; the generators' versions are
# those of go.mod.
set -eu
cd "$(dirname "$0")"
out=${1:-.}
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
GOBIN=$bin go install google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc
# The files' go_package is a path of the whole repository; this module has its own copies.
here=github.com/plugind/plugind/client-lib/go/examples

generate() { # FOLDER IMPORT_PATH PROTO...
  folder=$1 root=$2
  shift 2
  packages=
  for proto; do packages="$packages,M$proto=$here/$folder;$folder"; done
  mkdir -p "$out/$folder"
  PATH="$bin:$PATH" protoc -I "$root" "$@" \
    --go_out="$out/$folder" --go_opt="module=$here/$folder$packages" \
    --go-grpc_out="$out/$folder" --go-grpc_opt="module=$here/$folder$packages"
}
generate textpb ../../../plugins/proto text.proto
control=
for proto in ../../../proto/plugind/v1/*.proto; do control="$control plugind/v1/${proto##*/}"; done
# shellcheck disable=SC2086 # one word for each file
generate plugindpb ../../../proto $control
