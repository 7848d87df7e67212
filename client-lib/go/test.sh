#!/bin/sh
# Tests the package by each way to reach libplugind in turn.
# usage: client-lib/go/test.sh [ARGUMENTS OF go test]
#
# libplugind is found as build.sh says: PKG_CONFIG_PATH, LD_LIBRARY_PATH or PLUGIND_LIBRARY.
# The race detector needs cgo and cannot see into libplugind: it watches what is written in Go.
set -eu
cd "$(dirname "$0")"
CGO_ENABLED=1 go test "$@" ./...
CGO_ENABLED=1 go test -tags plugind_static "$@" .
CGO_ENABLED=1 go test -race -tags plugind_purego "$@" .
CGO_ENABLED=0 go test "$@" ./...
