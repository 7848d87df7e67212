module github.com/plugind/plugind/tests/interop/go-signal

go 1.22

require (
	github.com/ebitengine/purego v0.10.0
	github.com/plugind/plugind/client-lib/go v0.0.0
	google.golang.org/grpc v1.70.0
)

require (
	golang.org/x/net v0.34.0 // indirect
	golang.org/x/sys v0.29.0 // indirect
	golang.org/x/text v0.21.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20241202173237-19429a94021a // indirect
	google.golang.org/protobuf v1.36.6 // indirect
)

replace github.com/plugind/plugind/client-lib/go => ../../../client-lib/go
