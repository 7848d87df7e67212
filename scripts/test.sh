#!/bin/bash
# Installs what is needed, builds, and runs every test.
#
# usage: scripts/test.sh [--only SUITE]... [--repeat N] [--list] [--strict | --no-strict] [--verbose]
#
#   --only SUITE  run this suite and build what it needs; may be given several times
#   --repeat N    run the suites of --only N times, whether one fails or not; what they need runs once
#   --list        list the suites and exit
#   --strict      a missing toolchain (Go, Rust, Node.js, PHP, Python, Java) is a failure; the
#                 default where CI=true or the machine has all of them
#   --verbose     print what the suites print, not only that of failing ones
#
# The last line is "N passed, N failed"; the exit code is 0 only if nothing failed.  Logs are in
# build/test-logs.  A suite is a file in scripts/suites; CONTRIBUTING.md tells how to add one.
set -uo pipefail
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib/common.sh"
source "$PLUGIND_ROOT/scripts/lib/toolchains.sh"
source "$PLUGIND_ROOT/scripts/lib/deps.sh"

suite_files=("$PLUGIND_ROOT"/scripts/suites/*.sh)
suite_name() { basename "$1" .sh | sed 's/^[0-9]*-//'; }
suite_about() { sed -n "s/^suite_about='\(.*\)'$/\1/p" "$1"; }

suite_after() { sed -n "s/^suite_after='\(.*\)'$/\1/p" "$1"; }

list_suites() {
  local file
  for file in "${suite_files[@]}"; do
    printf '%-14s %s\n' "$(suite_name "$file")" "$(suite_about "$file")"
  done
}

only=() repeat=1 strict='' verbose=''
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --list) list_suites; exit 0 ;;
    --only)
      only+=("${2:?--only needs the name of a suite}")
      grep -q "^$2 " <<<"$(list_suites)" || die "no suite is called $2; --list names them"
      shift
      ;;
    --repeat)
      repeat=${2:?--repeat needs a number}
      [[ $repeat =~ ^[1-9][0-9]{0,3}$ ]] || die "--repeat takes a number from 1 to 9999, not $repeat"
      shift
      ;;
    --strict) strict=1 ;;
    --no-strict) strict=0 ;;
    -v | --verbose) verbose=1 ;;
    *) die "unknown option $1; see --help" ;;
  esac
  shift
done
((repeat == 1 || ${#only[@]} > 0)) || die '--repeat needs --only: name the suites to repeat'

install_dependencies tests
if [[ -z $strict ]]; then
  if [[ ${CI:-} == true ]] || have_all_toolchains; then strict=1; else strict=0; fi
fi

export PLUGIND_BUILD=${PLUGIND_BUILD:-$PLUGIND_ROOT/build}
export PLUGIND_LOGS=$PLUGIND_BUILD/test-logs
export PLUGIND_STRICT=$strict
rm -rf "$PLUGIND_LOGS"
mkdir -p "$PLUGIND_LOGS"
results_of() { echo "$PLUGIND_LOGS/$1.results"; }

running=''
end_running() {
  [[ -n $running ]] && kill -TERM "$running" 2>/dev/null
  wait 2>/dev/null
  die 'interrupted'
}
trap end_running INT TERM HUP

lines_of() { cat "$(results_of "$1")" 2>/dev/null | grep -c "^$2"$'\t'; }

names=() seconds=()
run_suite() {  # FILE [SUFFIX OF ITS NAME]
  local file=$1 name results log started=$SECONDS code limit before
  name=$(suite_name "$file")${2:-}
  results=$(results_of "$name")
  log=$PLUGIND_LOGS/$name.log
  limit=$(sed -n 's/^suite_timeout=//p' "$file")
  : >"$results"
  for before in $(suite_after "$file"); do
    if (($(lines_of "$before" failed) > 0)); then
      printf 'skipped\t%s\tthe suite "%s" failed\n' "$name" "$before" >"$results"
      names+=("$name") seconds+=(0)
      return
    fi
  done
  step "$name: $(suite_about "$file")"
  PLUGIND_SUITE=$name PLUGIND_RESULTS=$results timeout --kill-after=20 "${limit:-900}" \
    bash "$PLUGIND_ROOT/scripts/lib/run_suite.sh" "$file" >"$log" 2>&1 </dev/null &
  running=$!
  wait "$running"
  code=$?
  running=''
  if ((strict)); then
    sed -i 's/^missing\t/failed\t/' "$results"
  else
    sed -i 's/^missing\t/skipped\t/' "$results"
  fi
  if ((code == 124 || code == 137)); then
    printf 'failed\t%s\tended after %s s\n' "$name (as a whole)" "${limit:-900}" >>"$results"
  elif ((code != 0)) && (($(lines_of "$name" failed) == 0)); then
    printf 'failed\t%s\texit code %s\n' "$name (as a whole)" "$code" >>"$results"
  elif [[ ! -s $results ]]; then
    printf 'failed\t%s\tthe suite reported no result\n' "$name (as a whole)" >>"$results"
  fi
  names+=("$name")
  seconds+=($((SECONDS - started)))
  if [[ -n $verbose ]]; then
    cat "$log" >&2
  elif (($(lines_of "$name" failed) > 0)); then
    say "-- the end of ${log#"$PLUGIND_ROOT"/}:"
    tail -n "${PLUGIND_LOG_TAIL:-80}" "$log" >&2
  fi
}

wanted() {
  local name
  ((${#only[@]} == 0)) && return 0
  for name in "${only[@]}"; do [[ $name == "$1" ]] && return 0; done
  return 1
}

named=("${only[@]}")
# What the wanted suites need runs too: "suite_after='build plugins'".
for ((i = 0; i < ${#only[@]}; i++)); do
  for before in $(suite_after "$(echo "$PLUGIND_ROOT"/scripts/suites/[0-9]*-"${only[i]}".sh)"); do
    wanted "$before" || only+=("$before")
  done
done

started=$SECONDS
for file in "${suite_files[@]}"; do
  wanted "$(suite_name "$file")" && run_suite "$file"
done
only=("${named[@]}")
for ((round = 2; round <= repeat; round++)); do
  for file in "${suite_files[@]}"; do
    wanted "$(suite_name "$file")" && run_suite "$file" "#$round"
  done
done

print_named() {  # OUTCOME TITLE
  local name printed=''
  for name in "${names[@]}"; do
    while IFS=$'\t' read -r _ what why; do
      [[ -n $printed ]] || printf '\n%s\n' "$2"
      printed=1
      [[ $what == "$name" ]] && printf '  %s: %s\n' "$name" "$why" ||
        printf '  %s: %s%s\n' "$name" "$what" "${why:+: $why}"
    done < <(grep "^$1"$'\t' "$(results_of "$name")")
  done
}

all_passed=0 all_failed=0
printf '\n%-14s %8s %8s %8s %8s\n' suite passed failed 'not run' time
for i in "${!names[@]}"; do
  name=${names[i]}
  p=$(lines_of "$name" passed) f=$(lines_of "$name" failed) s=$(lines_of "$name" skipped)
  printf '%-14s %8d %8d %8d %6d s\n' "$name" "$p" "$f" "$s" "${seconds[i]}"
  ((all_passed += p, all_failed += f))
done
printf '%-14s %8d %8d %8s %6d s\n' 'all' "$all_passed" "$all_failed" '' $((SECONDS - started))
print_named note 'notes:'
print_named skipped 'not run:'
print_named failed 'failed:'
printf '\n%d passed, %d failed\n' "$all_passed" "$all_failed"
((all_failed == 0 && all_passed > 0))
