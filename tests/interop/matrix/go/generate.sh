#!/bin/sh
# Generates the Go code of matrix.proto into OUTDIR, by default into matrixpb/.  Needs protoc; the
# generators' versions are those of go.mod.
set -eu
cd "$(dirname "$0")"
out=${1:-matrixpb}
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
GOBIN=$bin go install google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc
mkdir -p "$out"
PATH="$bin:$PATH" protoc -I .. matrix.proto --go_out="$out" --go_opt=paths=source_relative \
  --go-grpc_out="$out" --go-grpc_opt=paths=source_relative
