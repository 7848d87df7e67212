suite_about='clang-format of all C and C++ files'

suite_run() {
  local files=()
  mapfile -t files < <(git ls-files --cached --others --exclude-standard '*.cc' '*.h' '*.c' |
    while read -r file; do [[ -f $file ]] && echo "$file"; done)
  check clang-format clang-format --dry-run -Werror --ferror-limit=3 "${files[@]}"
}
