package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	file "github.com/latchkey-dev/latchkey/proto/licensefile"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensefile"
	"github.com/latchkey-dev/latchkey/services/license/internal/wire"
)

// fileRequest is the request of a machine without a network, which somebody carries to a machine with one.
type fileRequest struct {
	deviceRequest
	Nonce      string `json:"nonce" text:"identifier"`
	ValidHours *int   `json:"valid_hours"`
	Encrypt    bool   `json:"encrypt"`
	// DevicePublicKey is the base64 of the key that is to sign the machine's usage reports.
	DevicePublicKey string `json:"device_public_key" text:"identifier"`
	publicKey       []byte
}

func (a *API) licenseFile(c *gin.Context) error {
	req := &fileRequest{}
	if err := httpx.Bind(c, req); err != nil {
		return err
	}
	f := apierr.Fields{}
	if req.check(f); len(f) > 0 {
		return f.Err()
	}
	if err := a.identify(c, &req.deviceRequest); err != nil {
		return err
	}
	wanted := licensefile.Request{Nonce: req.Nonce, Hours: req.ValidHours, Encrypt: req.Encrypt}
	resp, err := idempotency.Answer(c, a.Idempotency, a.deviceScope(c, &req.deviceRequest),
		func(ctx context.Context) (wire.LicenseFile, error) {
			client := req.client(c)
			client.PublicKey = req.publicKey
			made, err := a.Files.IssueByKey(ctx, req.LicenseKey, wanted, client)
			return wire.NewLicenseFile(&made), err
		})
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusCreated, resp)
	return nil
}

func (r *fileRequest) check(f apierr.Fields) {
	r.deviceRequest.check(f)
	r.publicKey = wire.DevicePublicKey(f, r.DevicePublicKey)
}

type fileKeysResponse struct {
	Root fileRoot  `json:"root"`
	Keys []fileKey `json:"keys"`
}

type fileRoot struct {
	KID       string `json:"kid"`
	PublicKey string `json:"public_key"`
	PEM       string `json:"public_key_pem"`
}

type fileKey struct {
	KID         string    `json:"kid"`
	Use         string    `json:"use"`
	Product     *string   `json:"product"`
	PublicKey   string    `json:"public_key"`
	Certificate string    `json:"certificate"`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	IsCurrent   bool      `json:"is_current"`
}

// fileKeys answers anybody, so it asks the database at most once a second.
func (a *API) fileKeys(c *gin.Context) error {
	keys, _, err := a.FileKeys.Fetch(c.Request.Context(), struct{}{}, a.Files.Keys.Listed)
	if err != nil {
		return err
	}
	resp := fileKeysResponse{Keys: []fileKey{}}
	for _, k := range keys {
		public := base64.StdEncoding.EncodeToString(k.Public)
		if k.IsRoot() {
			resp.Root = fileRoot{KID: k.KID, PublicKey: public, PEM: file.PublicPEM(k.Public)}
			continue
		}
		resp.Keys = append(resp.Keys, fileKey{
			KID: k.KID, Use: k.Use, Product: httpx.TextOrNull(k.Product), PublicKey: public,
			Certificate: base64.StdEncoding.EncodeToString(k.Certificate),
			NotBefore:   k.NotBefore, NotAfter: k.NotAfter, IsCurrent: k.RetiredAt.IsZero(),
		})
	}
	c.PureJSON(http.StatusOK, resp)
	return nil
}

type revocationsResponse struct {
	*file.Revocations
	// SignedList is the same in the form that a machine without a network checks.
	SignedList string `json:"signed_list"`
}

// maxListNumber is the largest integer that all readers of JSON agree on.
const maxListNumber = 1<<53 - 1

func (a *API) revocations(c *gin.Context) error {
	since, err := httpx.QueryInt(c, "since", 0, 0, maxListNumber)
	if err != nil {
		return err
	}
	list, signed, err := a.Revocations.List(c.Request.Context(), since)
	if err != nil {
		return err
	}
	if list == nil {
		c.Status(http.StatusNotModified)
		return nil
	}
	c.PureJSON(http.StatusOK, revocationsResponse{list, signed})
	return nil
}
