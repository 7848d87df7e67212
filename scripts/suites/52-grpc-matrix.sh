suite_about='servers and clients of six gRPC implementations, crosswise through plugind'
suite_after='build'

suite_run() {
  require go rust python node java
  local log=$PLUGIND_LOGS/grpc-matrix.tap code=0
  tests/interop/matrix/build.sh "$PLUGIND_BUILD/matrix" "$PLUGIND_BUILD"
  go_test tests/interop/matrix/go -count=1 ./... || code=$?
  tests/interop/matrix/run.py "$PLUGIND_BUILD/matrix" >"$log" || code=$?
  cat "$log"
  count tap "$log"
  return "$code"
}
