package api

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	rpcv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/rpc/v1"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

type anomaliesResponse struct {
	Anomalies  []usage.Anomaly `json:"anomalies"`
	NextCursor *string         `json:"next_cursor"`
}

func (a *API) anomalies(c *gin.Context) error {
	q, err := anomalyQuery(c)
	if err != nil {
		return err
	}
	found, err := a.Anomalies.Log.Anomalies(c.Request.Context(), q)
	if err != nil {
		return err
	}
	r := anomaliesResponse{Anomalies: found}
	if len(found) == q.Limit {
		next := encodeCursor(&found[len(found)-1])
		r.NextCursor = &next
	}
	c.JSON(http.StatusOK, r)
	return nil
}

func anomalyQuery(c *gin.Context) (q usage.AnomalyQuery, err error) {
	wrong, cursor := apierr.Fields{}, ""
	for name, value := range map[string]*string{
		"license_id": &q.LicenseID, "type": &q.Type, "status": &q.Status, "severity": &q.Severity, "cursor": &cursor,
	} {
		if *value, err = httpx.QueryIdentifier(c, name, 255); err != nil {
			return q, err
		}
	}
	if q.LicenseID != "" {
		id, ok := uid.Parse(q.LicenseID)
		if q.LicenseID = id; !ok {
			wrong.Add("license_id", "must be the id of a license")
		}
	}
	if q.Type != "" {
		wrong.OneOf("type", q.Type, detect.Kinds()...)
	}
	if q.Status != "" {
		wrong.OneOf("status", q.Status, usage.StatusOpen, usage.StatusClosed, usage.StatusConfirmed,
			usage.StatusFalsePositive)
	}
	if q.Severity != "" {
		wrong.OneOf("severity", q.Severity, "low", "medium", "high", "critical")
	}
	if cursor != "" {
		if q.Before, err = decodeCursor(cursor); err != nil {
			return q, err
		}
	}
	since, err := httpx.QueryTime(c, "since")
	if err != nil {
		return q, err
	}
	if since != nil {
		q.Since = *since
	}
	if q.Limit, err = httpx.QueryInt(c, "limit", defaultLimit, 1, maxLimit); err != nil {
		return q, err
	}
	return q, wrong.Err()
}

func encodeCursor(a *usage.Anomaly) string {
	return base64.RawURLEncoding.EncodeToString([]byte(a.DetectedAt.Format(time.RFC3339Nano) + "|" + a.ID))
}

func decodeCursor(s string) (usage.Cursor, error) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return usage.Cursor{}, errCursor
	}
	at, id, _ := strings.Cut(string(raw), "|")
	t, ok := jsonbody.ParseTime(at)
	if !ok || !uid.Is(id) {
		return usage.Cursor{}, errCursor
	}
	return usage.Cursor{DetectedAt: t, ID: id}, nil
}

type judgeRequest struct {
	Status jsonbody.Optional[string] `json:"status" text:"identifier"`
	Note   jsonbody.Optional[string] `json:"note"`
}

const maxNote = 2000

func (a *API) judge(c *gin.Context) error {
	var r judgeRequest
	if err := httpx.BindOptional(c, &r); err != nil {
		return err
	}
	wrong := apierr.Fields{}
	if r.Status.Present {
		wrong.OneOf("status", r.Status.Value, usage.StatusConfirmed, usage.StatusFalsePositive, usage.StatusOpen)
	}
	wrong.MaxLen("note", r.Note.Value, maxNote)
	if err := wrong.Err(); err != nil {
		return err
	}
	j := usage.Judgment{Status: r.Status.Pointer(), Note: r.Note.Pointer()}
	judged, err := a.Anomalies.Judge(c.Request.Context(), actor(c), c.Param("anomaly_id"), j)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, judged)
	return nil
}

// actor is who makes a change, as the audit log shows it: the API key's client.
func actor(c *gin.Context) *rpcv1.Actor {
	key := apikey.Of(c)
	return &rpcv1.Actor{
		Id: key.ID, Name: key.ClientName, Role: "client",
		Ip: httpx.ClientIP(c), RequestId: httpx.RequestID(c.Request.Context()),
	}
}
