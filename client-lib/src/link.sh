#!/bin/sh
# Makes one relocatable object of libplugind, in which only pd_* can be seen.
#
# usage: link.sh OUTPUT PARTS LIBNGHTTP2 OBJCOPY CXX...
#   PARTS: archive of our own objects.  LIBNGHTTP2: libnghttp2.a.  CXX: the compiler driver.
#
# A host may well contain another nghttp2 (Node does, and curl in PHP), so ours must neither be found
# by the host's code nor be replaced by the host's copy.
set -eu
output=$1 parts=$2 nghttp2=$3 objcopy=$4
shift 4

work=$output.tmp
rm -rf "$work"
mkdir "$work"
trap 'rm -rf "$work"' EXIT

# nghttp2's hash table has a printer for its developers that refers to stderr in a way that a shared
# library cannot (the distribution's archive is not built as PIC).  Nothing calls it.
"$objcopy" --redefine-sym stderr=pdi_unused_stderr "$nghttp2" "$work/libnghttp2.a"
"$@" -r -nostdlib -Wl,--force-group-allocation -o "$work/all.o" \
  -Wl,--whole-archive "$parts" -Wl,--no-whole-archive "$work/libnghttp2.a"
"$objcopy" --wildcard --keep-global-symbol='pd_*' "$work/all.o" "$output"
