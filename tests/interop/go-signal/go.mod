module github.com/plugind/plugind/tests/interop/go-signal

go 1.22

require github.com/ebitengine/purego v0.10.0
