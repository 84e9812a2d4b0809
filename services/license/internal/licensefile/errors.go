package licensefile

import (
	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

var errRootExists = apierr.New(apierr.Conflict, errcode.RootKeyExists,
	"this installation has another root key, which its clients pin; import a root key before the first file is issued")
