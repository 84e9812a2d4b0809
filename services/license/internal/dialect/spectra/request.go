package spectra

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	"github.com/latchkey-dev/latchkey/services/license/internal/appliance"
)

// maxParts is how many parts of a form are looked at.
const maxParts = 16

var errNoForm = apierr.New(apierr.UnsupportedMedia, errcode.UnsupportedMediaType,
	"send the license file as the part named file of a form (multipart/form-data)")

var errNoFile = errors.New("there is not one part named file")

// uploaded is the license file of a form. What the part says of its file name and media type does not matter: each
// client says something else.
func uploaded(c *gin.Context) ([]byte, error) {
	boundary, ok := formBoundary(c.Request.Header)
	if !ok {
		return nil, errNoForm
	}
	raw, err := httpx.Body(c)
	if err != nil {
		return nil, err
	}
	text, err := formFile(boundary, raw)
	if err != nil {
		return nil, apierr.InvalidField("file", "is required: send the license file as the part named file, once").
			WithCause(err)
	}
	return text, nil
}

func formBoundary(h http.Header) (boundary string, ok bool) {
	if len(h["Content-Type"]) != 1 || h.Get("Content-Encoding") != "" {
		return "", false
	}
	media, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	return params["boundary"], err == nil && media == "multipart/form-data" && params["boundary"] != ""
}

// formFile is the content of the part named file, of which there must be one.
func formFile(boundary string, raw []byte) (text []byte, err error) {
	form := multipart.NewReader(bytes.NewReader(raw), boundary)
	for range maxParts {
		part, err := form.NextRawPart()
		if errors.Is(err, io.EOF) && text != nil {
			return text, nil
		}
		if err != nil {
			return nil, errors.Join(errNoFile, err)
		}
		if part.FormName() != "file" {
			continue
		}
		if text != nil {
			return nil, errNoFile
		}
		if text, err = io.ReadAll(part); err != nil {
			return nil, err
		}
	}
	return nil, errNoFile
}

// defaultSeconds is the timeout of an account that names none.
const defaultSeconds = 30

// cloudRequest is the body of POST /configure/cloud.
type cloudRequest struct {
	URL           string `json:"url" text:"identifier"`
	User          string `json:"user" text:"identifier"`
	Token         string `json:"token" text:"identifier"`
	Timeout       *int   `json:"timeout"`
	ProxyHost     string `json:"proxy_host" text:"identifier"`
	ProxyPort     int    `json:"proxy_port"`
	ProxyUser     string `json:"proxy_user"`
	ProxyPassword string `json:"proxy_password"`
}

func (r *cloudRequest) account() (appliance.Account, error) {
	a := appliance.Account{
		URL:        r.URL,
		LicenseKey: secret.Secret(r.User),
		APIKey:     secret.Secret(r.Token),
		Seconds:    defaultSeconds,
	}
	if r.Timeout != nil {
		a.Seconds = *r.Timeout
	}
	switch {
	case r.ProxyHost != "":
		a.Proxy = &appliance.Proxy{
			Host: r.ProxyHost, Port: r.ProxyPort, User: r.ProxyUser, Password: secret.Secret(r.ProxyPassword),
		}
	case r.ProxyPort != 0 || r.ProxyUser != "" || r.ProxyPassword != "":
		return a, apierr.InvalidField("proxy_host", "is required where the other members about the proxy are set")
	}
	return a, nil
}
