// The matrix's client with grpc-go: client SOCKET COUNTED_SOCKET LIMITED_SOCKET FRONT_SOCKET PLUGIN DETAILS
package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/plugind/plugind/tests/interop/matrix/go/matrixpb"
)

const (
	callLimit      = 20 * time.Second
	messageLimit   = 16 << 20
	largeSize      = 5 << 20
	compressedSize = 4 << 20
	textSize       = 8 << 10
	dataSize       = 4 << 10
	chatMessages   = 10
)

func pattern(size int) []byte {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i * 31 % 251)
	}
	return data
}

func expect(what string, got, want []byte) error {
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s: %d bytes that differ from the %d expected", what, len(got), len(want))
	}
	return nil
}

func echo(ctx context.Context, client matrixpb.MatrixClient, data []byte) error {
	reply, err := client.Echo(ctx, &matrixpb.Chunk{Data: data})
	if err != nil {
		return err
	}
	return expect("the answer", reply.Data, data)
}

func chat(ctx context.Context, client matrixpb.MatrixClient) error {
	stream, err := client.Chat(ctx)
	if err != nil {
		return err
	}
	for i := 1; i <= chatMessages; i++ {
		data := pattern(i * 1000)
		if err := stream.Send(&matrixpb.Chunk{Data: data}); err != nil {
			return err
		}
		reply, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := expect(fmt.Sprintf("answer %d", i), reply.Data, data); err != nil {
			return err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the end: %v", err)
	}
	return nil
}

func exchangeMetadata(ctx context.Context, client matrixpb.MatrixClient) error {
	text, data := strings.Repeat("metadata", textSize/8), pattern(dataSize)
	ctx = metadata.AppendToOutgoingContext(ctx, "matrix-text", text, "matrix-data-bin", string(data))
	var header, trailer metadata.MD
	_, err := client.Echo(ctx, &matrixpb.Chunk{}, grpc.Header(&header), grpc.Trailer(&trailer))
	if err != nil {
		return err
	}
	for where, received := range map[string]metadata.MD{"initial": header, "trailing": trailer} {
		for key, want := range map[string]string{"matrix-text": text, "matrix-data-bin": string(data)} {
			got := strings.Join(received.Get(key), ",")
			if err := expect(where+" "+key, []byte(got), []byte(want)); err != nil {
				return err
			}
		}
	}
	return nil
}

func compressed(ctx context.Context, client matrixpb.MatrixClient) error {
	data := make([]byte, compressedSize)
	reply, err := client.Compressed(ctx, &matrixpb.Chunk{Data: data}, grpc.UseCompressor(gzip.Name))
	if err != nil {
		return err
	}
	return expect("the answer", reply.Data, data)
}

// fail makes a call that fails, and gives what arrived before and after the failure.
func fail(ctx context.Context, client matrixpb.MatrixClient, want *matrixpb.Failure) (
	header, trailer metadata.MD, err error) {
	_, err = client.Fail(ctx, want, grpc.Header(&header), grpc.Trailer(&trailer))
	if got := status.Convert(err); got.Code() != codes.Code(want.Code) || got.Message() != want.Message {
		return nil, nil, fmt.Errorf("the status is %v %q", got.Code(), got.Message())
	}
	return header, trailer, nil
}

func details(ctx context.Context, client matrixpb.MatrixClient, want []byte) error {
	_, trailer, err := fail(ctx, client, &matrixpb.Failure{
		Code: int32(codes.FailedPrecondition), Message: "with details", Details: want})
	if err != nil {
		return err
	}
	got := strings.Join(trailer.Get("grpc-status-details-bin"), ",")
	return expect("grpc-status-details-bin", []byte(got), want)
}

func trailersOnly(ctx context.Context, client matrixpb.MatrixClient) error {
	header, _, err := fail(ctx, client, &matrixpb.Failure{
		Code: int32(codes.PermissionDenied), Message: "denied: 100 % of ∀x"})
	if err == nil && len(header) > 0 {
		return fmt.Errorf("initial metadata came as well: %v", header)
	}
	return err
}

// rejected gives the status of a call with more than the server takes.
func rejected(limited matrixpb.MatrixClient) string {
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	_, err := limited.Echo(ctx, &matrixpb.Chunk{Data: pattern(largeSize)})
	return fmt.Sprintf("%d %s", status.Code(err), status.Convert(err).Message())
}

func early(ctx context.Context, client matrixpb.MatrixClient) error {
	stream, err := client.Early(ctx)
	if err != nil {
		return err
	}
	data := pattern(1000)
	if err := stream.Send(&matrixpb.Chunk{Data: data}); err != nil {
		return err
	}
	var reply matrixpb.Chunk
	if err := stream.RecvMsg(&reply); err != nil { // CloseAndRecv would end the requests.
		return err
	}
	return expect("the answer", reply.Data, data)
}

func connect(path string) (*grpc.ClientConn, matrixpb.MatrixClient, error) {
	connection, err := grpc.NewClient("unix:"+path,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(messageLimit)))
	if err != nil {
		return nil, nil, err
	}
	return connection, matrixpb.NewMatrixClient(connection), nil
}

func run(path, countedPath, limitedPath, frontPath, plugin, detailsHex string) error {
	detailBytes, err := hex.DecodeString(detailsHex)
	if err != nil {
		return err
	}
	connection, client, err := connect(path)
	if err != nil {
		return err
	}
	defer connection.Close()
	countedConnection, counted, err := connect(countedPath)
	if err != nil {
		return err
	}
	defer countedConnection.Close()
	limitedConnection, limited, err := connect(limitedPath)
	if err != nil {
		return err
	}
	defer limitedConnection.Close()
	frontConnection, front, err := connect(frontPath)
	if err != nil {
		return err
	}
	defer frontConnection.Close()
	for _, one := range []struct {
		name  string
		check func(context.Context) error
	}{
		{"unary", func(ctx context.Context) error { return echo(ctx, client, []byte("matrix")) }},
		{"bidirectional", func(ctx context.Context) error { return chat(ctx, client) }},
		{"large", func(ctx context.Context) error { return echo(ctx, client, pattern(largeSize)) }},
		{"metadata", func(ctx context.Context) error { return exchangeMetadata(ctx, client) }},
		{"compressed", func(ctx context.Context) error { return compressed(ctx, counted) }},
		{"details", func(ctx context.Context) error { return details(ctx, client, detailBytes) }},
		{"trailers-only", func(ctx context.Context) error { return trailersOnly(ctx, client) }},
		{"early", func(ctx context.Context) error { return early(ctx, client) }},
		{"front", func(ctx context.Context) error {
			return exchangeMetadata(metadata.AppendToOutgoingContext(ctx, "plugind-plugin", plugin), front)
		}},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), callLimit)
		outcome := "passes"
		if err := one.check(ctx); err != nil {
			outcome = "fails: " + strings.Join(strings.Fields(err.Error()), " ")
		}
		cancel()
		fmt.Printf("%s\t%s\n", one.name, outcome)
	}
	fmt.Printf("rejected\t%s\n", rejected(limited))
	return nil
}

func main() {
	if len(os.Args) != 7 {
		fmt.Fprintln(os.Stderr,
			"usage: client SOCKET COUNTED_SOCKET LIMITED_SOCKET FRONT_SOCKET PLUGIN DETAILS")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5], os.Args[6]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
