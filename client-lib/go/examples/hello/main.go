// Program hello is the host that README.md of the tree shows.
package main

import (
	"context"
	"fmt"
	"log"

	plugind "github.com/plugind/plugind/client-lib/go"
	"github.com/plugind/plugind/client-lib/go/examples/textpb"
)

func main() {
	client, err := plugind.Dial(context.Background(), "") // "" is the daemon's usual socket
	if err != nil {
		log.Fatal(err)
	}
	text := textpb.NewTextClient(client.Plugin("text")) // any generated stub works on it
	reply, err := text.Echo(context.Background(), &textpb.EchoRequest{Text: "hello from Go"})
	fmt.Println(reply.GetText(), err)
}
