package licensespring

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
)

// signed is the signature of an answer that clients check with the public key (RSASSA-PKCS1-v1_5 with SHA-256).
func signed(key *integration.ResponseKey, text []byte) (string, error) {
	digest := sha256.Sum256(text)
	signature, err := rsa.SignPKCS1v15(nil, key.PrivateKey, crypto.SHA256, digest[:])
	return base64.StdEncoding.EncodeToString(signature), err
}

// licenseText is what license_signature covers. hardwareID is what the client sent; id is the license key, or the
// e-mail of the user up to the first |; validity is that of the answer.
func licenseText(hardwareID, id string, validity *string) []byte {
	end := ""
	if validity != nil {
		end = *validity
	}
	return []byte(strings.ToLower(hardwareID + "#" + id + "#" + end))
}

// answer sends a body with its signature in the header, whose spelling is that of the documentation.
func (d *Dialect) answer(c *gin.Context, body any) error {
	key, err := d.Responses.Key(c.Request.Context(), integration.LicenseSpring)
	if err != nil {
		return err
	}
	return answerWith(c, key, printed(body))
}

func answerWith(c *gin.Context, key *integration.ResponseKey, raw []byte) error {
	signature, err := signed(key, raw)
	if err != nil {
		return err
	}
	c.Writer.Header()["LicenseSignature"] = []string{signature}
	httpx.WriteJSON(c, http.StatusOK, raw)
	return nil
}

// word answers with one word, which clients compare.
func word(c *gin.Context, text string) error {
	c.Data(http.StatusOK, "text/plain; charset=utf-8", []byte(text))
	return nil
}

// publicKey answers the key that checks our answers.
func (d *Dialect) publicKey(c *gin.Context) error {
	key, err := d.Responses.Key(c.Request.Context(), integration.LicenseSpring)
	if err != nil {
		return err
	}
	c.Header("Cache-Control", "public, max-age=300")
	c.Data(http.StatusOK, "text/plain; charset=utf-8", []byte(key.PublicPEM()))
	return nil
}
