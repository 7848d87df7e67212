# Shared by every script: where things are, where builds are cached, and how to speak.
# Source it; it changes no option of the shell.

PLUGIND_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PLUGIND_ROOT

# Everything here is found again by its content, so it may be deleted at any time.
PLUGIND_CACHE=${PLUGIND_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/plugind}
export PLUGIND_CACHE
export CCACHE_DIR=${CCACHE_DIR:-$PLUGIND_CACHE/ccache}
export CCACHE_MAXSIZE=${CCACHE_MAXSIZE:-5G}
# Checkouts in different directories share what they have in common.
export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$PLUGIND_ROOT} CCACHE_NOHASHDIR=1
export GOCACHE=${GOCACHE:-$PLUGIND_CACHE/go-build}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PLUGIND_CACHE/cargo-target}
export NPM_CONFIG_CACHE=${NPM_CONFIG_CACHE:-$PLUGIND_CACHE/npm}
export PIP_CACHE_DIR=${PIP_CACHE_DIR:-$PLUGIND_CACHE/pip}
export NPM_CONFIG_UPDATE_NOTIFIER=false NPM_CONFIG_FUND=false NPM_CONFIG_AUDIT=false
export PIP_DISABLE_PIP_VERSION_CHECK=1

if [[ -t 2 && -z ${NO_COLOR:-} ]]; then
  bold=$'\e[1m' red=$'\e[31m' plain=$'\e[0m'
else
  bold='' red='' plain=''
fi

say() { printf '%s\n' "$*" >&2; }
step() { printf '%s\n' "${bold}== $*${plain}" >&2; }
die() {
  printf '%s\n' "${red}${0##*/}: $*${plain}" >&2
  exit 1
}

# Prints the comment at the top of the calling script: its manual.
usage() {
  sed -n '2,/^[^#]/{ /^[^#]/!{ s/^# \{0,1\}//; p } }' "$0"
}

# version_at_least HAVE WANTED
version_at_least() {
  [[ $(printf '%s\n%s\n' "$2" "$1" | sort -V | sed -n 1p) == "$2" ]]
}

# The first number with dots in it, of "go version go1.26.8 linux/amd64" for example.
first_version() { grep -oE '[0-9]+(\.[0-9]+)+' | sed -n 1p; }

# use_built_libplugind BUILD: lets cgo and pkg-config find the libplugind of a build directory as if
# it were installed.  Programs linked so find it again by its absolute path.
use_built_libplugind() {
  local build
  build=$(cd "$1" && pwd)
  export PKG_CONFIG_PATH=$build/meson-uninstalled${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
  export CGO_CFLAGS="-O2 -g -I$PLUGIND_ROOT/client-lib/include"
  export CGO_LDFLAGS="-O2 -g -Wl,-rpath,$build/client-lib"
  export PLUGIND_LIBRARY=$build/client-lib/libplugind.so
}
