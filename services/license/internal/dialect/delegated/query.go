package delegated

import (
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/services/license/internal/delegation"
)

// activateByQuery is activation by a link, which a device or a page opens. It is a GET that changes something, but
// whoever opens the link again, or before the device, changes nothing more: the link names the only device that the
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

// queried reads the query of a link.
func queried(c *gin.Context) (in activateRequest, err error) {
	if in.Key, err = queriedKey(c, "slaveKey"); err != nil {
		return in, err
	}
	if in.RuntimeKey, err = queriedKey(c, "runtimeKey"); err != nil {
		return in, err
	}
	err = in.check()
	return in, renamed(err)
}

// queriedKey reads a key in base64, in which a plus that nobody escaped has come as a blank.
func queriedKey(c *gin.Context, name string) (string, error) {
	text, err := httpx.QueryIdentifier(c, name, maxBody)
	return strings.ReplaceAll(text, " ", "+"), err
}
