#!/bin/sh
# Builds bench-go.  usage: tests/bench/go/build.sh OUTDIR
set -eu
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")"
go build -trimpath -o "$out/bench-go" .
