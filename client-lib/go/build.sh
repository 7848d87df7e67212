#!/bin/sh
# Builds the sample hosts.  usage: client-lib/go/build.sh OUTDIR
#
# libplugind is found with pkg-config: name another prefix with
# PKG_CONFIG_PATH=PREFIX/lib/.../pkgconfig.  A library outside the system's folders must also be
# found at run time: host-go-cgo-dynamic by LD_LIBRARY_PATH, host-go-purego by that or
# PLUGIND_LIBRARY.  The hosts: host-go-stubs, host-go-cgo-dynamic, host-go-cgo-static,
# host-go-purego, host-go-reattach.  Without Go, or with one that is too old, it builds nothing,
# says so and exits with 0.
set -eu
outdir=${1:?usage: $0 OUTDIR}
mkdir -p "$outdir"
outdir=$(cd "$outdir" && pwd)
cd "$(dirname "$0")"

need=$(sed -n 's/^go //p' go.mod)
have=$(cd / && GOTOOLCHAIN=local go env GOVERSION 2>/dev/null | sed "s/^go//")
if [ -z "$have" ] || [ "$(printf '%s\n%s\n' "$need" "$have" | sort -V | head -n 1)" != "$need" ]; then
  echo "not built: the Go sample hosts: needs Go >= $need, found ${have:-none}"
  exit 0
fi

build() { # NAME PACKAGE CGO_ENABLED [TAGS]
  CGO_ENABLED=$3 go build -trimpath -tags "${4:-}" -o "$outdir/host-go-$1" "./examples/$2"
}
build stubs stubs 0
build reattach reattach 0
build purego libplugind 0
build cgo-dynamic libplugind 1
build cgo-static libplugind 1 plugind_static
