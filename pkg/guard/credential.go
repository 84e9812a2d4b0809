package guard

import (
	"crypto/sha256"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/secret"
)

// Credential is what a guard knows of a credential.
type Credential struct {
	sum [sha256.Size]byte
	// made says that its 256 bits are random: nobody guesses it, however often they try.
	made bool
}

// Made identifies a credential that package secret made, by the SHA-256 of its text.
func Made(sum [sha256.Size]byte) Credential { return Credential{sum: sum, made: true} }

// Of identifies a credential by its text. One that secret.New(prefix) cannot have made was chosen by people.
func Of(c *gin.Context, prefix, text string) Credential {
	if secret.WellFormed(prefix, text) {
		return Made(secret.Hash(text))
	}
	return Chosen(c, text)
}

// Chosen identifies a credential that package secret did not make. It is known together with the address
// that sent it: having been good elsewhere does not make it exempt here, so that a guesser learns nothing of one that
// is in daily use.
func Chosen(c *gin.Context, text string) Credential {
	return Credential{sum: sha256.Sum256([]byte(httpx.ClientNetwork(c) + "\n" + text))}
}
