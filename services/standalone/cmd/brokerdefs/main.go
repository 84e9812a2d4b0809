// Command brokerdefs writes deploy/rabbitmq/topology.json; scripts/gen runs it.
package main

import (
	"log"
	"os"

	"github.com/latchkey-dev/latchkey/services/standalone/internal/brokerdefs"
)

func main() {
	if err := brokerdefs.Write(os.Stdout); err != nil {
		log.Fatal(err)
	}
}
