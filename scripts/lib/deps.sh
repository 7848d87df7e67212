# What a fresh Debian 12 needs.  install_dependencies does nothing when all of it is there.
# Needs common.sh and toolchains.sh.

# One place for every package of Debian's that plugind's build, tests and demonstration use.
DEBIAN_PACKAGES=(
  # build
  ca-certificates git g++ make meson ninja-build pkg-config ccache python3 python3-venv
  libboost1.81-dev libboost-filesystem1.81-dev libnghttp2-dev
  libgrpc++-dev libprotobuf-dev libprotoc-dev protobuf-compiler protobuf-compiler-grpc
  libspdlog-dev libcli11-dev libtomlplusplus-dev
  # tests, as far as they are built
  libgtest-dev libgmock-dev libbenchmark-dev
)
# What only running the tests needs.
TEST_PACKAGES=(clang-format clang-19 libclang-rt-19-dev strace valgrind)

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

# install_dependencies [tests]: with what only running the tests needs, or without.
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
