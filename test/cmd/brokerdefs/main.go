// Command brokerdefs writes deploy/rabbitmq/topology.json; scripts/gen runs it.
package main

import (
	"log"
	"os"

	"github.com/latchkey-dev/latchkey/test/brokerdefs"
)

func main() {
	if err := brokerdefs.Write(os.Stdout); err != nil {
		log.Fatal(err)
	}
}
