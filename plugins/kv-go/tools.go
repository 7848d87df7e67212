//go:build tools

// Package kv pins go-plugin's own example among this module's requirements.  The example itself is
// built from the module cache, unmodified: see README.md.
package kv

import _ "github.com/hashicorp/go-plugin/examples/grpc/plugin-go-grpc"
