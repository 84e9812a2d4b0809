package delegated

import (
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/services/license/internal/delegation"
)

// activateByQuery is activation by a link, which a device or a page opens. It is a GET that changes something, but
// anyone who opens the link again, or before the device, changes nothing more: the link names the only device that the
// slave key activates. Master keys are secret and do not belong into links.
func (d *Dialect) activateByQuery(c *gin.Context) error {
	in, err := queried(c)
	if err != nil {
		return err
	}
	return d.withKey(c, in.Key, client(c, in.RuntimeKey), func(k delegation.Key) error {
		if k.Slave == nil {
			return delegation.ErrKey
		}
		return d.answerActivation(c, k, in.RuntimeKey)
	})
}

// unescaped are the pluses of base64 that nobody escaped in a link, which forms take for blanks.
var unescaped = strings.NewReplacer("+", "%2B", "%20", "%2B")

// queried reads the query of a link.
func queried(c *gin.Context) (in activateRequest, err error) {
	c.Request.URL.RawQuery = unescaped.Replace(c.Request.URL.RawQuery)
	if in.Key, err = httpx.QueryIdentifier(c, "slaveKey", maxBody); err != nil {
		return in, err
	}
	if in.RuntimeKey, err = httpx.QueryIdentifier(c, "runtimeKey", maxBody); err != nil {
		return in, err
	}
	err = in.check()
	return in, renamed(err)
}
