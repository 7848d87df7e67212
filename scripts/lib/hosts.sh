# Building and setting up all that the sample hosts need.
# Needs common.sh and toolchains.sh, and a built build directory.

# prepare_hosts BUILD: stages the plugins in BUILD/plugins-staged, builds the Go hosts into
# BUILD/go-hosts, and sets up each language.  Fills the array `missing` with LANGUAGE=HINT.
prepare_hosts() {
  local build=$1 language
  missing=()
  for language in go rust python node php; do
    have_toolchain "$language" || missing+=("$language=$(install_hint "$language")")
  done
  step 'staging the plugins'
  "$PLUGIND_ROOT/scripts/build-plugins.sh" "$build/plugins-staged" >&2
  for language in go python node php; do
    [[ -d $PLUGIND_ROOT/client-lib/$language ]] && have_toolchain "$language" || continue
    step "setting up the hosts in $language"
    if [[ $language == go ]]; then
      (use_built_libplugind "$build" && "$PLUGIND_ROOT/client-lib/go/build.sh" "$build/go-hosts") >&2
    else
      "$PLUGIND_ROOT/client-lib/$language/setup.sh" >&2
    fi
  done
}

# run_hosts BUILD ARGUMENTS...: every host against a private daemon, and the table.
run_hosts() {
  local build=$1 one arguments=()
  shift
  for one in "${missing[@]}"; do arguments+=(--missing "$one"); done
  "$PLUGIND_ROOT/scripts/lib/demo.py" --build "$build" --plugins "$build/plugins-staged" \
    --go-hosts "$build/go-hosts" "${arguments[@]}" "$@"
}
