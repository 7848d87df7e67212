# Which languages this machine can build and run, and what to install where it cannot.
# Needs common.sh.

# Go's and Rust's minimum stand in the modules' own files, so that they are written once.
_go_minimum() {
  find "$PLUGIND_ROOT"/{client-lib,plugins,tests} -name go.mod -not -path '*/node_modules/*' \
    -exec sed -n 's/^go \([0-9.]*\).*/\1/p' {} + | sort -V | tail -n 1 | grep . || echo 1.24
}
_rust_minimum() {
  sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' \
    "$PLUGIND_ROOT"/plugins/text-rust/Cargo.toml 2>/dev/null | grep . || echo 1.80
}
GO_MINIMUM=$(_go_minimum)
RUST_MINIMUM=$(_rust_minimum)
NODE_MINIMUM=18.0
PHP_MINIMUM=8.1
PYTHON_MINIMUM=3.9
JAVA_MINIMUM=17
# The first that reads GCC 12's <expected>.
CLANG_MINIMUM=19

# _have COMMAND MINIMUM VERSION-COMMAND...
_have() {
  local command=$1 minimum=$2 version
  shift 2
  command -v "$command" >/dev/null || return 1
  version=$("$@" 2>/dev/null | first_version)
  [[ -n $version ]] && version_at_least "$version" "$minimum"
}

have_go() { _have go "$GO_MINIMUM" env GOTOOLCHAIN=local go version; }
have_rust() { _have cargo "$RUST_MINIMUM" cargo --version; }
have_node() { _have node "$NODE_MINIMUM" node --version; }
have_npm() { have_node && command -v npm >/dev/null; }
have_php() { _have php "$PHP_MINIMUM" php --version && php -r 'exit(extension_loaded("FFI") ? 0 : 1);'; }
have_python() { _have python3 "$PYTHON_MINIMUM" python3 --version && python3 -c 'import venv, ensurepip' 2>/dev/null; }
# "javac 17.0.15", but "javac 17" of a first release: the number needs no dots.
have_java() {
  local version
  version=$(javac -version 2>&1 | sed -n 's/^javac \([0-9.]*\).*/\1/p')
  [[ -n $version ]] && version_at_least "$version" "$JAVA_MINIMUM" && command -v mvn >/dev/null
}

# The name of a clang++ that is new enough and has libFuzzer and the sanitizers.
clang_with_fuzzer() {
  local compiler
  for compiler in clang++-{19..25} clang++; do
    command -v "$compiler" >/dev/null &&
      version_at_least "$("$compiler" -dumpversion)" "$CLANG_MINIMUM" &&
      echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' |
      "$compiler" -x c++ -fsanitize=fuzzer,address,undefined -o /dev/null - 2>/dev/null &&
      echo "$compiler" && return
  done
  return 1
}
have_clang() { clang_with_fuzzer >/dev/null; }

# What to say where one is missing: install_hint go|rust|node|php|python|java|clang
install_hint() {
  case $1 in
    go) echo "install Go $GO_MINIMUM or newer: https://go.dev/dl/" ;;
    rust) echo "install Rust $RUST_MINIMUM or newer: https://rustup.rs" ;;
    node) echo "install Node.js $NODE_MINIMUM or newer with npm: apt-get install nodejs npm" ;;
    php) echo "install PHP $PHP_MINIMUM or newer with FFI: apt-get install php-cli" ;;
    python) echo "install Python $PYTHON_MINIMUM or newer with venv: apt-get install python3-venv" ;;
    java) echo "install a JDK $JAVA_MINIMUM or newer with Maven: apt-get install openjdk-17-jdk-headless maven" ;;
    clang) echo "install clang $CLANG_MINIMUM or newer with libFuzzer: apt-get install clang-19 libclang-rt-19-dev" ;;
  esac
}

have_toolchain() {
  case $1 in
    go) have_go ;;
    rust) have_rust ;;
    node) have_npm ;;
    php) have_php ;;
    python) have_python ;;
    java) have_java ;;
    clang) have_clang ;;
    *) die "no toolchain is called $1" ;;
  esac
}

have_all_toolchains() {
  local language
  for language in go rust node php python java; do
    have_toolchain "$language" || return 1
  done
}
