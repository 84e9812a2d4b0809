package store

import (
	"time"

	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/services/license/internal/appliance"
)

// sealedLicense is what is sealed of the license of this installation, as JSON: a file or an account.
type sealedLicense struct {
	File       string         `json:"file,omitempty"`
	UploadedAt time.Time      `json:"uploaded_at,omitzero"`
	Account    *sealedAccount `json:"account,omitempty"`
	// Digest is that of installationRow.
	Digest []byte `json:"digest"`
}

type sealedAccount struct {
	ID         string       `json:"id"`
	URL        string       `json:"url"`
	LicenseKey string       `json:"license_key"`
	APIKey     string       `json:"api_key"`
	Seconds    int          `json:"timeout_seconds"`
	Proxy      *sealedProxy `json:"proxy,omitempty"`
}

type sealedProxy struct {
	Host     string `json:"host"`
	Port     int    `json:"port"`
	User     string `json:"user"`
	Password string `json:"password"`
}

func newSealedLicense(i *appliance.Installation) (s sealedLicense) {
	if i.File != nil {
		s.File, s.UploadedAt = string(i.File.Text), i.File.UploadedAt
	}
	if i.Cloud == nil {
		return s
	}
	s.Account = &sealedAccount{
		ID:         i.Cloud.ID,
		URL:        i.Cloud.URL,
		LicenseKey: i.Cloud.LicenseKey.Reveal(),
		APIKey:     i.Cloud.APIKey.Reveal(),
		Seconds:    i.Cloud.Seconds,
	}
	if p := i.Cloud.Proxy; p != nil {
		s.Account.Proxy = &sealedProxy{p.Host, p.Port, p.User, p.Password.Reveal()}
	}
	return s
}

func (s *sealedAccount) account() appliance.Account {
	a := appliance.Account{
		URL:        s.URL,
		LicenseKey: secret.Secret(s.LicenseKey),
		APIKey:     secret.Secret(s.APIKey),
		Seconds:    s.Seconds,
	}
	if p := s.Proxy; p != nil {
		a.Proxy = &appliance.Proxy{Host: p.Host, Port: p.Port, User: p.User, Password: secret.Secret(p.Password)}
	}
	return a
}

// heardColumn is the column heard.
type heardColumn struct {
	SeenAt      time.Time `json:"seen_at,omitzero"`
	ConnectedAt time.Time `json:"connected_at,omitzero"`
	SeatedAt    time.Time `json:"seated_at,omitzero"`
	Unseated    bool      `json:"unseated,omitempty"`
	Left        []string  `json:"left,omitempty"`
	HeardAt     time.Time `json:"heard_at,omitzero"`
	Refusal     string    `json:"refusal,omitempty"`
	Failures    int       `json:"failures,omitempty"`
	LicenseID   string    `json:"license_id,omitempty"`
	Product     string    `json:"product,omitempty"`
	LicenseType string    `json:"license_type,omitempty"`
	ExpiresAt   time.Time `json:"expires_at,omitzero"`
	UsableUntil time.Time `json:"usable_until,omitzero"`
}

func newHeard(i *appliance.Installation) heardColumn {
	c := i.Cloud
	if c == nil {
		return heardColumn{SeenAt: i.SeenAt}
	}
	return heardColumn{
		SeenAt:      i.SeenAt,
		ConnectedAt: c.ConnectedAt,
		SeatedAt:    c.SeatedAt,
		Unseated:    c.Unseated,
		Left:        c.Left,
		HeardAt:     c.HeardAt,
		Refusal:     c.Refusal,
		Failures:    c.Failures,
		LicenseID:   c.Answer.LicenseID,
		Product:     c.Answer.Product,
		LicenseType: c.Answer.LicenseType,
		ExpiresAt:   c.Answer.ExpiresAt,
		UsableUntil: c.Answer.UsableUntil,
	}
}

func (s *sealedAccount) cloud(h *heardColumn) *appliance.Cloud {
	return &appliance.Cloud{
		Account:     s.account(),
		ID:          s.ID,
		ConnectedAt: h.ConnectedAt,
		SeatedAt:    h.SeatedAt,
		Unseated:    h.Unseated,
		Left:        h.Left,
		HeardAt:     h.HeardAt,
		Refusal:     h.Refusal,
		Failures:    h.Failures,
		Answer: appliance.Answer{
			LicenseID:   h.LicenseID,
			Product:     h.Product,
			LicenseType: h.LicenseType,
			ExpiresAt:   h.ExpiresAt,
			UsableUntil: h.UsableUntil,
		},
	}
}
