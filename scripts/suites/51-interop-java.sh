suite_about='the official gRPC interop cases of grpc-java, compressed ones included'
suite_after='build'

suite_run() {
  require java
  # shellcheck source-path=SCRIPTDIR
  source scripts/lib/maven.sh
  local log=$PLUGIND_LOGS/interop-java.tap code=0
  maven_build tests/interop/grpc-java
  tests/interop/grpc-java/run.py >"$log" || code=$?
  cat "$log"
  count tap "$log"
  return "$code"
}
