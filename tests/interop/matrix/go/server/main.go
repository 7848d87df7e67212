// The matrix's server with grpc-go.
package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // registers it
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/plugind/plugind/tests/interop/matrix/go/matrixpb"
)

const messageLimit = 16 << 20

type matrix struct {
	matrixpb.UnimplementedMatrixServer
}

func (matrix) Echo(ctx context.Context, request *matrixpb.Chunk) (*matrixpb.Chunk, error) {
	received, _ := metadata.FromIncomingContext(ctx)
	back := metadata.MD{}
	for _, key := range []string{"matrix-text", "matrix-data-bin"} {
		back.Append(key, received.Get(key)...)
	}
	if err := grpc.SetHeader(ctx, back); err != nil {
		return nil, err
	}
	return request, grpc.SetTrailer(ctx, back)
}

func (matrix) Chat(stream matrixpb.Matrix_ChatServer) error {
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(request); err != nil {
			return err
		}
	}
}

func (matrix) Compressed(ctx context.Context, request *matrixpb.Chunk) (*matrixpb.Chunk, error) {
	return request, grpc.SetSendCompressor(ctx, "gzip")
}

func (matrix) Fail(ctx context.Context, request *matrixpb.Failure) (*matrixpb.Chunk, error) {
	if len(request.Details) > 0 {
		// As they are: a status of Go's would be marshalled again.
		details := metadata.Pairs("grpc-status-details-bin", string(request.Details))
		if err := grpc.SetTrailer(ctx, details); err != nil {
			return nil, err
		}
	}
	return nil, status.Error(codes.Code(request.Code), request.Message)
}

func (matrix) Early(stream matrixpb.Matrix_EarlyServer) error {
	request, err := stream.Recv()
	if err != nil {
		return err
	}
	return stream.SendAndClose(request)
}

func main() {
	path, found := strings.CutPrefix(os.Getenv("PLUGIND_LISTEN"), "unix:")
	if !found {
		log.Fatalf("PLUGIND_LISTEN is %q, not unix:/path", os.Getenv("PLUGIND_LISTEN"))
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		log.Fatal(err)
	}
	var options []grpc.ServerOption
	if os.Getenv("MATRIX_DEFAULT_LIMIT") == "" {
		options = append(options, grpc.MaxRecvMsgSize(messageLimit))
	}
	server := grpc.NewServer(options...)
	matrixpb.RegisterMatrixServer(server, matrix{})
	log.Fatal(server.Serve(listener))
}
