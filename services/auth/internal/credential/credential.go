// Package credential holds the rules of everything that lets somebody in: API keys, chains of access and refresh
// tokens, and the keys that sign them. It knows no HTTP and no database; it is given a clock, its stores, and a way
// to ask about devices.
package credential

import (
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	rpcv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/rpc/v1"
)

// maxName bounds names and ids, in characters.
const maxName = 255

// Record is an event that must be committed together with a change.
type Record struct {
	Subject string
	Message proto.Message
}

// Actor is who makes a change, for the audit log.
type Actor = rpcv1.Actor

func newID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	return id.String(), nil
}
