# What a fresh Debian 12 needs.  install_dependencies does nothing when all of it is there.
# Needs common.sh and toolchains.sh.

# One place for every package of Debian's that plugind's build, tests and demonstration use.
DEBIAN_PACKAGES=(
  # build
  ca-certificates git g++ make meson ninja-build pkg-config ccache python3 python3-venv
  libboost1.81-dev libboost-filesystem1.81-dev libnghttp2-dev libssl-dev
  libgrpc++-dev libprotobuf-dev libprotoc-dev protobuf-compiler protobuf-compiler-grpc
  libspdlog-dev libcli11-dev libtomlplusplus-dev
  # tests, as far as they are built
  libgtest-dev libgmock-dev libbenchmark-dev
)
# What only running the tests needs.
TEST_PACKAGES=(clang-format clang-19 libclang-rt-19-dev strace valgrind)
# What draws the benchmark's plots.
PLOT_PACKAGES=(gnuplot-nox)
# What the benchmark compares plugind with, and the libraries of it that not every Debian has.
# They are unpacked into the cache and never installed: a benchmark brings no web server to the
# machine, and nothing that the machine would start.
PROXY_PACKAGES=(nginx haproxy)
PROXY_LIBRARIES=(liblua5.3-0 libopentracing1 libopentracing-c-wrapper0 libpcre2-8-0 libssl3
  libsystemd0 libcap2 libgcrypt20 libgpg-error0 liblz4-1 libzstd1)

_package_missing() {
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) != installed ]]
}

# Packages for the sample hosts: only where the machine has nothing good enough, because a newer
# Node.js or PHP from elsewhere conflicts with Debian's packages.
_host_packages_missing() {
  if ! have_node; then
    command -v node >/dev/null || echo nodejs npm
  elif ! command -v npm >/dev/null; then
    # Debian's npm fits Debian's Node.js only.
    _package_missing nodejs || echo npm
  fi
  # PHPUnit uses the extensions; a PHP from elsewhere brings its own.
  if ! command -v php >/dev/null; then
    echo php-cli php-mbstring php-xml
  elif ! _package_missing php-cli; then
    php -r 'exit(extension_loaded("mbstring") ? 0 : 1);' || echo php-mbstring
    php -r 'exit(extension_loaded("dom") ? 0 : 1);' || echo php-xml
  fi
}

# The same for the tests.
_test_packages_missing() {
  local package
  for package in "${TEST_PACKAGES[@]}"; do
    if _package_missing "$package"; then echo "$package"; fi
  done
  command -v javac >/dev/null || echo openjdk-17-jdk-headless
  command -v mvn >/dev/null || echo maven
}

# install_dependencies [tests|plots]: with what only running the tests needs, or only plots do, or
# without both.
# PLUGIND_SKIP_INSTALL=1 leaves the machine as it is, for those who bring everything themselves.
install_dependencies() {
  [[ -z ${PLUGIND_SKIP_INSTALL:-} ]] || return 0
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    command -v meson >/dev/null && command -v ninja >/dev/null && return 0
    die "this is no Debian, so install by hand what these packages of Debian 12 hold:
  ${DEBIAN_PACKAGES[*]} php-cli php-mbstring php-xml nodejs npm
and for the tests: ${TEST_PACKAGES[*]} openjdk-17-jdk-headless maven"
  fi
  local missing=() package
  for package in "${DEBIAN_PACKAGES[@]}"; do
    if _package_missing "$package"; then missing+=("$package"); fi
  done
  # shellcheck disable=SC2207
  missing+=($(_host_packages_missing))
  # shellcheck disable=SC2207
  if [[ ${1:-} == tests ]]; then missing+=($(_test_packages_missing)); fi
  if [[ ${1:-} == plots ]]; then
    for package in "${PLOT_PACKAGES[@]}"; do
      if _package_missing "$package"; then missing+=("$package"); fi
    done
  fi
  ((${#missing[@]})) || return 0

  local root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null ||
      die "these packages are missing and there is no sudo to install them; as root run
  apt-get install ${missing[*]}"
    root=(sudo)
  fi
  step "installing ${missing[*]}"
  local log
  log=$(mktemp)
  # --no-remove: rather fail than take away what somebody installed from elsewhere.
  if ! {
    "${root[@]}" apt-get -q -o DPkg::Lock::Timeout=300 update &&
      "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
        install --no-install-recommends --no-remove "${missing[@]}"
  } </dev/null >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    rm -f "$log"
    die "apt-get could not install ${missing[*]} (see above); plugind is built on Debian 12"
  fi
  rm -f "$log"
}

# unpack_proxies: prints a directory with nginx and HAProxy in usr/sbin, for those that are not
# installed.  Fails, saying why, where they cannot be had.
unpack_proxies() {
  local to=$PLUGIND_CACHE/bench-proxies packages=() package complete=1
  for package in "${PROXY_PACKAGES[@]}"; do
    PATH=$PATH:/usr/sbin:/sbin command -v "$package" >/dev/null && continue
    packages+=("$package")
    [[ -x $to/usr/sbin/$package ]] || complete=0
  done
  if ((complete)); then
    echo "$to"
    return
  fi
  [[ -z ${PLUGIND_SKIP_INSTALL:-} ]] || { say 'PLUGIND_SKIP_INSTALL is set'; return 1; }
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    say 'this is no Debian'
    return 1
  fi
  for package in "${PROXY_LIBRARIES[@]}"; do
    if _package_missing "$package"; then packages+=("$package"); fi
  done
  step "unpacking ${packages[*]} into $to"
  local work status=0
  work=$(mktemp -d)
  # In a shell of its own, whose failures are told by its status.
  (
    cd "$work" || exit 1
    # `download` needs no root and verifies what it takes; lists that are old or missing do.
    apt-get -q download "${packages[@]}" || {
      root=()
      if ((EUID != 0)); then root=(sudo -n); fi
      "${root[@]}" apt-get -q -o DPkg::Lock::Timeout=300 update &&
        apt-get -q download "${packages[@]}"
    } || exit 1
    for package in *.deb; do dpkg -x "$package" root || exit 1; done
  ) </dev/null >"$work/log" 2>&1 || status=1
  if ((status == 0)); then
    mkdir -p "$PLUGIND_CACHE"
    rm -rf "$to"
    mv "$work/root" "$to" || status=1
  else
    tail -n 5 "$work/log" >&2
    say "apt-get could not download ${packages[*]} (see above)"
  fi
  rm -rf "$work"
  ((status == 0)) && echo "$to"
}
