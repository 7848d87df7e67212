suite_about='every sample host calls the real plugins; a crash and an upgrade (what scripts/demo.sh shows)'
suite_after='build plugins'

suite_run() {
  require_path scripts/build-plugins.sh daemon/main.cc
  # shellcheck source-path=SCRIPTDIR
  source scripts/lib/hosts.sh
  prepare_hosts "$PLUGIND_BUILD"
  local rows=$PLUGIND_LOGS/hosts.tsv host route plugin call outcome result _ code=0
  run_hosts "$PLUGIND_BUILD" --tsv "$rows" || code=$?
  # The third field may be empty, so the separator must not be white space.
  while IFS=$'\x1f' read -r host route plugin call outcome result _; do
    case $outcome in
      ok) passed "$host: $plugin $call ($route)" ;;
      'not run') _report missing "$host: $plugin $call" "$result" ;;
      *) failed "$host: $plugin $call ($route)" "$result" ;;
    esac
  done < <(tr '\t' '\037' <"$rows")
  return "$code"
}
