package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	analyticsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1"
)

// licenseID reads the id of the path. What is no UUID becomes one that no license has.
func licenseID(c *gin.Context) string {
	id, ok := uid.Parse(c.Param("license_id"))
	if !ok {
		return uid.Nil
	}
	return id
}

// addedToLicense is what admin adds to a license as the license service shows it.
type addedToLicense struct {
	Statistics licenseStatistics `json:"statistics"`
	Degraded   []string          `json:"degraded,omitempty"`
}

// getLicense answers a license with its statistics. While analytics is away its figures are null, because zeros would
// lie.
func (a *API) getLicense(c *gin.Context) error {
	var (
		license *rpc.Answer
		usage   *analyticsv1.LicenseStatisticsResponse
		err     error
		id, ctx = licenseID(c), c.Request.Context()
	)
	sideBySide(
		func() { license, err = a.Licenses.Get(ctx, actor(c), licenses+"/"+id) },
		func() { usage = a.askAnalytics(ctx, id) },
	)
	if err == nil && license.Status == http.StatusOK {
		license.Body, err = addStatistics(license.Body, usage)
	}
	if err != nil {
		return err
	}
	license.Write(c)
	return nil
}

// addStatistics adds the figures as the last members of a license; usage is nil while analytics is away.
func addStatistics(license []byte, usage *analyticsv1.LicenseStatisticsResponse) ([]byte, error) {
	var seats struct {
		CurrentDevices int32 `json:"current_devices"`
	}
	if err := json.Unmarshal(license, &seats); err != nil {
		return nil, fmt.Errorf("read a license of the license service: %w", err)
	}
	added := addedToLicense{Statistics: licenseStatistics{ActiveDevices: seats.CurrentDevices}}
	if usage != nil {
		added.Statistics.set(usage)
	} else {
		added.Degraded = []string{partAnalytics}
	}
	members, err := json.Marshal(added)
	if err != nil {
		return nil, err
	}
	return append(append(bytes.TrimSuffix(bytes.TrimSpace(license), []byte("}")), ','), members[1:]...), nil
}
