#!/bin/sh
# Generates the Go code of text.proto into OUTDIR, by default into textpb/.  Needs protoc; the
# generators' versions are those of go.mod.
set -eu
cd "$(dirname "$0")"
out=${1:-textpb}
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
GOBIN=$bin go install google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc
# The file's go_package is a path of the whole repository; this module has its own copy.
package=Mtext.proto=github.com/plugind/plugind/client-lib/go/examples/textpb
mkdir -p "$out"
PATH="$bin:$PATH" protoc -I ../../../plugins/proto text.proto \
  --go_out="$out" --go_opt=paths=source_relative,"$package" \
  --go-grpc_out="$out" --go-grpc_opt=paths=source_relative,"$package"
