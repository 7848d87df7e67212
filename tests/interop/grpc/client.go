package interop

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	"google.golang.org/grpc/metadata"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

type client struct {
	ctx        context.Context
	connection *grpc.ClientConn
	service    testgrpc.TestServiceClient
	target     string
	options    []grpc.DialOption
}

// A testCase is one of the official cases; it ends the process when it fails.
type testCase struct {
	name string
	run  func(client)
}

func plain(do func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption)) func(client) {
	return func(c client) { do(c.ctx, c.service) }
}

func soak(resetChannel bool) func(client) {
	const iterations, failures, request, response = 50, 0, 271828, 314159
	return func(c client) {
		interop.DoSoakTest(c.ctx, c.service, c.target, c.options, resetChannel, iterations, failures,
			request, response, 10*time.Second, 0)
	}
}

// Every case of grpc-go's interop client but those of leftOut.
var testCases = []testCase{
	{"empty_unary", plain(interop.DoEmptyUnaryCall)},
	{"large_unary", plain(interop.DoLargeUnaryCall)},
	{"client_streaming", plain(interop.DoClientStreaming)},
	{"server_streaming", plain(interop.DoServerStreaming)},
	{"ping_pong", plain(interop.DoPingPong)},
	{"empty_stream", plain(interop.DoEmptyStream)},
	{"timeout_on_sleeping_server", plain(interop.DoTimeoutOnSleepingServer)},
	{"cancel_after_begin", plain(interop.DoCancelAfterBegin)},
	{"cancel_after_first_response", plain(interop.DoCancelAfterFirstResponse)},
	{"custom_metadata", plain(interop.DoCustomMetadata)},
	{"status_code_and_message", plain(interop.DoStatusCodeAndMessage)},
	{"special_status_message", plain(interop.DoSpecialStatusMessage)},
	{"unimplemented_method", func(c client) { interop.DoUnimplementedMethod(c.ctx, c.connection) }},
	{"unimplemented_service", func(c client) {
		interop.DoUnimplementedService(c.ctx, testgrpc.NewUnimplementedServiceClient(c.connection))
	}},
	{"pick_first_unary", func(c client) { interop.DoPickFirstUnary(c.ctx, c.service) }},
	{"rpc_soak", soak(false)},
	{"channel_soak", soak(true)},
	{"orca_per_rpc", func(c client) { interop.DoORCAPerRPCTest(c.ctx, c.service) }},
	{"orca_oob", func(c client) { interop.DoORCAOOBTest(c.ctx, c.service) }},
}

// The other cases of grpc-go's interop client, and what they need that is not here.
var leftOut = []struct{ name, needs string }{
	{"compute_engine_creds", "TLS, a machine of Google Compute Engine"},
	{"service_account_creds", "TLS, the key of a Google service account"},
	{"jwt_token_creds", "TLS, the key of a Google service account"},
	{"per_rpc_creds", "TLS, the key of a Google service account"},
	{"oauth2_auth_token", "TLS, the key of a Google service account"},
	{"google_default_credentials", "TLS, Google's default credentials"},
	{"compute_engine_channel_credentials", "TLS, a machine of Google Compute Engine"},
}

// runCase makes one case's calls; plugin is "" where the address says which one is meant.
func runCase(name, target, plugin string) error {
	withPlugin := func(ctx context.Context) context.Context {
		if plugin == "" {
			return ctx
		}
		return metadata.AppendToOutgoingContext(ctx, "plugind-plugin", plugin)
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, request, reply any,
			connection *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
			return invoke(withPlugin(ctx), method, request, reply, connection, options...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, about *grpc.StreamDesc,
			connection *grpc.ClientConn, method string, stream grpc.Streamer,
			options ...grpc.CallOption) (grpc.ClientStream, error) {
			return stream(withPlugin(ctx), about, connection, method, options...)
		}),
	}
	if name == "orca_per_rpc" || name == "orca_oob" {
		options = append(options, grpc.WithDefaultServiceConfig(
			`{"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}`))
	}
	connection, err := grpc.NewClient(target, options...)
	if err != nil {
		return err
	}
	defer connection.Close()
	for _, one := range testCases {
		if one.name == name {
			one.run(client{context.Background(), connection,
				testgrpc.NewTestServiceClient(connection), target, options})
			return nil
		}
	}
	return fmt.Errorf("no case is called %q", name)
}
