# Building the interop suites' Java programs.  Needs common.sh.

# maven_build DIRECTORY [FILE...]: compiles the module there; target/classes and target/lib are its
# class path afterwards.  Quick when neither the module nor the other files have changed.
maven_build() {
  local directory=$1 stamp
  shift
  stamp=$(find "$directory/pom.xml" "$directory/src" "$@" -type f -exec cksum {} + | sort)
  [[ "$(cat "$directory/target/.stamp" 2>/dev/null)" != "$stamp" ]] || return 0
  rm -rf "$directory/target"
  mvn -q -B -ntp -Dstyle.color=never -Dmaven.repo.local="$PLUGIND_CACHE/m2" \
    -f "$directory/pom.xml" process-classes || return
  echo "$stamp" >"$directory/target/.stamp"
}
