package counter

import (
	"crypto/sha256"
	"encoding/hex"
)

// own begins the ids of operations that no client has named. Those that clients name are trimmed, so that none begins
// with a blank: what the server counts by itself can be neither repeated nor undone by its id.
const own = " "

// OwnOperation is the id of an operation that the server names. How long operations are remembered is
// OperationRetention (consume.go).
func OwnOperation(name string) string { return own + name }

// KeyedOperation is the id of an operation that an Idempotency-Key names. scope says whose key that is: another device
// may send the same one.
func KeyedOperation(scope, key string) string {
	sum := sha256.Sum256([]byte(scope + "\x00" + key))
	return OwnOperation("key " + hex.EncodeToString(sum[:]))
}
