suite_about='the official gRPC interop cases through plugind (docs/compatibility.md)'
suite_after='build'

suite_run() {
  require go
  export PLUGIND=$PLUGIND_BUILD/daemon/plugind
  go_test tests/interop/grpc -count=1 ./...
}
