#!/bin/bash
# Shows what plugind is for: hosts in several languages call plugins in several languages.
#
# usage: scripts/demo.sh [--strict]
#
# Installs what is needed, builds, starts a private daemon on a socket of its own, has every sample
# host call the real plugins through it, then kills a plugin and upgrades it while it is called all the
# time, and prints one table.  Exits 0 only if all rows are right.
# A row whose language is missing on this machine says what to install; with --strict that is a
# failure.  Nothing is left behind but build/ and the caches.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib/common.sh"
source "$PLUGIND_ROOT/scripts/lib/toolchains.sh"
source "$PLUGIND_ROOT/scripts/lib/deps.sh"
source "$PLUGIND_ROOT/scripts/lib/hosts.sh"

strict=()
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --strict) strict=(--strict) ;;
    *) die "unknown option $1; see --help" ;;
  esac
  shift
done

build=${PLUGIND_BUILD:-$PLUGIND_ROOT/build}
install_dependencies
# Not the tests, which take longer than everything else.
version=$(sed -n "s/^  version: '\(.*\)',$/\1/p" "$PLUGIND_ROOT/meson.build")
"$PLUGIND_ROOT/scripts/build.sh" "$build" daemon/plugind client-lib/pluginctl/pluginctl \
  "client-lib/libplugind.so.$version" client-lib/libplugind.a client-lib/examples/host-c \
  plugins/echo-cpp/echo-cpp
prepare_hosts "$build"
step 'running the hosts'
run_hosts "$build" "${strict[@]}"
