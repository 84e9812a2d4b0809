package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/outbound"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	"github.com/latchkey-dev/latchkey/services/license/internal/appliance"
)

// Upstream implements appliance.Upstream by asking the public API of another Latchkey as a client of it does. Its
// address was entered by people.
type Upstream struct {
	Policy outbound.Policy
	// Product, when not empty, is the code of the only product whose licenses are looked for.
	Product string
}

// said is what an upstream answers.
type said struct {
	Valid       *bool      `json:"valid"`
	ErrorCode   string     `json:"error_code"`
	Error       string     `json:"error"`
	LicenseID   string     `json:"license_id"`
	Product     string     `json:"product"`
	LicenseType string     `json:"license_type"`
	ExpiresAt   *time.Time `json:"expires_at"`
	GraceEndsAt *time.Time `json:"grace_ends_at"`

	SignedStatement string `json:"signed_statement"`

	// Details are those of a refusal.
	Details struct {
		ExpiresAt time.Time `json:"expires_at"`
	} `json:"details"`
}

// Activate implements appliance.Upstream. Validate alone answers with statements.
func (u Upstream) Activate(
	ctx context.Context, a appliance.Account, machineID, nonce string,
) (appliance.Answer, error) {
	s, err := u.ask(ctx, &a, "activate", members{"hardware_id": machineID})
	refused, taken := new(appliance.RefusedError), err == nil
	answer := s.answer()
	if errors.As(err, &refused) && refused.Code == errcode.AlreadyActivated || taken && nonce != "" {
		answer, err = u.Validate(ctx, a, machineID, nonce)
	} else if taken {
		err = u.checkProduct(&s)
	}
	answer.Taken = taken
	return answer, err
}

// Validate implements appliance.Upstream.
func (u Upstream) Validate(
	ctx context.Context, a appliance.Account, machineID, nonce string,
) (appliance.Answer, error) {
	sent := members{"hardware_id": machineID}
	if nonce != "" {
		sent["nonce"] = nonce
	}
	s, err := u.ask(ctx, &a, "validate", sent)
	if err == nil && s.Valid == nil {
		err = errNoLatchkey
	}
	if err == nil {
		err = u.checkProduct(&s)
	}
	return s.answer(), err
}

// checkProduct refuses what an upstream that does not know products, or pretends, says of a license of another one.
func (u Upstream) checkProduct(s *said) error {
	if u.Product == "" || s.Product == u.Product {
		return nil
	}
	return &appliance.RefusedError{Code: errcode.LicenseNotFound, Message: "the license is for another product"}
}

// Deactivate implements appliance.Upstream.
func (u Upstream) Deactivate(ctx context.Context, a appliance.Account, machineID string) error {
	_, err := u.ask(ctx, &a, "deactivate", members{"hardware_id": machineID})
	return err
}

var errNoLatchkey = &appliance.NoAnswerError{
	Reason: "not_latchkey", Text: "what answers there is not Latchkey",
	Err: errors.New("the answer does not have the form of Latchkey's"),
}

// answered is no answer but a status.
func answered(status int) error {
	text := fmt.Sprintf("it answers %d %s", status, http.StatusText(status))
	return &appliance.NoAnswerError{
		Reason: "status_" + strconv.Itoa(status), Text: strings.TrimSpace(text), Err: errors.New("no use of it"),
	}
}

// members are those of a body.
type members map[string]string

// ask makes a call. Answers that may be different the next time, or are not the upstream's own, are none.
func (u Upstream) ask(ctx context.Context, a *appliance.Account, endpoint string, sent members) (said, error) {
	if err := u.Policy.CheckURL(a.URL); err != nil {
		return said{}, problemOf(err)
	}
	client, err := outbound.New(u.Policy, time.Duration(a.Seconds)*time.Second, proxyOf(a.Proxy))
	if err != nil {
		return said{}, problemOf(err)
	}
	req, err := u.request(ctx, a, endpoint, sent)
	if err != nil {
		return said{}, err
	}
	res, err := client.Do(req)
	if err != nil {
		return said{}, problemOf(err)
	}
	var s said
	err = json.Unmarshal(res.Body, &s)
	switch {
	case res.Status >= http.StatusInternalServerError, res.Status == http.StatusTooManyRequests:
		return said{}, answered(res.Status)
	case err == nil && (res.Status >= http.StatusBadRequest || s.Valid != nil && !*s.Valid) && s.refuses():
		return said{}, s.refusal()
	case res.Status >= http.StatusBadRequest:
		return said{}, answered(res.Status)
	case err != nil:
		return said{}, errNoLatchkey
	case s.Valid != nil && !*s.Valid, !s.wellFormed():
		return said{}, errNoLatchkey
	}
	return s, nil
}

func (u Upstream) request(
	ctx context.Context, a *appliance.Account, endpoint string, sent members,
) (*http.Request, error) {
	sent["license_key"] = a.LicenseKey.Reveal()
	if u.Product != "" {
		sent["product"] = u.Product
	}
	body, err := json.Marshal(sent)
	if err != nil {
		return nil, err
	}
	url := strings.TrimRight(a.URL, "/") + "/api/v1/license/" + endpoint
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-API-Key", a.APIKey.Reveal())
	return req, nil
}

func proxyOf(p *appliance.Proxy) *outbound.Proxy {
	if p == nil {
		return nil
	}
	return &outbound.Proxy{Host: p.Host, Port: p.Port, User: p.User, Password: p.Password}
}

// problemOf tells an address that may not be called as the API of the appliance calls it, and other failures as far as
// they concern anyone who entered it.
func problemOf(err error) error {
	if problem := new(outbound.Problem); errors.As(err, &problem) {
		return apierr.InvalidField(problem.Part, problem.Text)
	}
	why := outbound.FailureOf(err)
	return &appliance.NoAnswerError{Reason: why.Reason, Text: why.Text, Err: err}
}

// wordForm is that of the codes of products and the types of licenses. An older upstream says no type.
var wordForm = regexp.MustCompile(`^[A-Za-z0-9._-]{0,64}$`)

// wellFormed reports whether what is kept of the answer is what Latchkey answers.
func (s *said) wellFormed() bool {
	return uid.Is(s.LicenseID) && wordForm.MatchString(s.Product) && wordForm.MatchString(s.LicenseType)
}

func (s *said) answer() appliance.Answer {
	a := appliance.Answer{
		LicenseID: s.LicenseID, Product: s.Product, LicenseType: s.LicenseType, Statement: s.SignedStatement,
	}
	if s.ExpiresAt != nil {
		a.ExpiresAt, a.UsableUntil = *s.ExpiresAt, *s.ExpiresAt
	}
	if s.GraceEndsAt != nil {
		a.UsableUntil = *s.GraceEndsAt
	}
	return a
}

// codeForm is that of all codes of docs/errors.md. What a proxy on the way says has none.
var codeForm = regexp.MustCompile(`^[A-Z][A-Z0-9_]{1,63}$`)

// maxReason is the longest text of an upstream that is shown, in bytes.
const maxReason = 500

// refuses tells a refusal from what somebody on the way says. A path that is not known says that it is no Latchkey.
func (s *said) refuses() bool {
	return codeForm.MatchString(s.ErrorCode) && s.ErrorCode != errcode.NotFound
}

// refusal is what the upstream refuses with.
func (s *said) refusal() error {
	reason := strings.ToValidUTF8(s.Error[:min(len(s.Error), maxReason)], "")
	return &appliance.RefusedError{
		Code: s.ErrorCode, Message: strings.Join(strings.Fields(reason), " "), ExpiresAt: s.Details.ExpiresAt,
	}
}
