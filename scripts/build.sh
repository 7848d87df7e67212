#!/bin/bash
# Configures and builds plugind.
#
# usage: scripts/build.sh [-D OPTION=VALUE]... [DIRECTORY [TARGET]...]
#
# DIRECTORY is build/ unless given.  -D options are meson's; they take effect when the directory
# is configured for the first time, or anew.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib/common.sh"
source "$PLUGIND_ROOT/scripts/lib/toolchains.sh"
source "$PLUGIND_ROOT/scripts/lib/deps.sh"

options=()
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    -D) options+=("-D$2"); shift 2 ;;
    -D*) options+=("$1"); shift ;;
    -*) die "unknown option $1; see --help" ;;
    *) break ;;
  esac
done
directory=${1:-$PLUGIND_ROOT/build}
shift || true

install_dependencies
launcher=()
if command -v ccache >/dev/null; then launcher=(ccache); fi

wanted="${options[*]}"
if [[ ! -f $directory/build.ninja ]]; then
  step "configuring $directory"
  # A setup that was interrupted leaves a directory that meson does not take again.
  rm -rf "$directory/meson-private" "$directory/meson-info"
  CC="${launcher[*]} ${CC:-gcc}" CXX="${launcher[*]} ${CXX:-g++}" \
    meson setup "${options[@]}" "$directory" "$PLUGIND_ROOT" >&2
elif [[ ${#options[@]} -gt 0 && $(cat "$directory/.plugind-options" 2>/dev/null) != "$wanted" ]]; then
  meson configure "${options[@]}" "$directory" >&2
fi
if ((${#options[@]})); then printf '%s\n' "$wanted" >"$directory/.plugind-options"; fi
step "building $directory"
ninja -C "$directory" "$@" >&2
