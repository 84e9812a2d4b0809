package app

import (
	"crypto/tls"
	"errors"
	"strings"
	"time"
	"unicode"

	"github.com/latchkey-dev/latchkey/pkg/bus/amqp"
	"github.com/latchkey-dev/latchkey/pkg/config"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/httpx/server"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/trace/otlp"
)

// Validate joins the problems that the tags of the settings do not tell, each a *config.Problem that names its setting.
func (b Base) Validate() error {
	return errors.Join(
		b.checkAddresses(),
		b.checkIdentity(),
		b.checkServers(),
		b.checkTLS(),
		problemOf(&b, &b.TrustedProxies, httpx.CheckProxies(b.TrustedProxies, b.Env == Production)),
		otlp.Check(),
	)
}

func (b Base) checkAddresses() error {
	if !server.Collide(b.Addr, b.InternalAddr) {
		return nil
	}
	return config.Problemf(&b, &b.InternalAddr, "must have another port than LATCHKEY_ADDR: both servers cannot "+
		"listen at %s and %s", b.Addr, b.InternalAddr)
}

// CheckSecret finds a secret that is missing, that no header brings as it is, or in production too weak. s points to
// its setting in cfg.
func (b Base) CheckSecret(cfg any, s *secret.Secret) error {
	const want = "set 32 or more random characters, for example from: openssl rand -base64 48"
	if *s == "" {
		return config.Problemf(cfg, s, "is missing; %s", want)
	}
	if raw := s.Reveal(); jsonbody.Identifier(raw) != raw || strings.ContainsFunc(raw, unicode.IsControl) {
		return config.Problemf(cfg, s, "cannot be sent in a header as it is: it has control characters, or some that "+
			"are trimmed or compared in another form; %s", want)
	}
	if why := secret.Weak(s.Reveal()); b.Env == Production && why != "" {
		return config.Problemf(cfg, s, "%s; %s", why, want)
	}
	return nil
}

// CheckMasterKey finds a master key that is missing or not base64 of 32 bytes, and in production one that is a sample.
// s points to its setting in cfg.
func (b Base) CheckMasterKey(cfg any, s *secret.Secret) error {
	return b.checkKey(cfg, s, "make one with: openssl rand -base64 32")
}

// checkKey is CheckMasterKey for any key; remedy says how to make one.
func (b Base) checkKey(cfg any, s *secret.Secret, remedy string) error {
	if *s == "" {
		return config.Problemf(cfg, s, "is missing; %s", remedy)
	}
	raw, err := keyring.ParseKey(s.Reveal())
	if err != nil {
		return config.Problemf(cfg, s, "%v; %s", err, remedy)
	}
	if why := secret.WeakKey(raw); b.Env == Production && why != "" {
		return config.Problemf(cfg, s, "%s; %s", why, remedy)
	}
	return nil
}

// checkServers looks at what the drivers know of their URLs, and in production for passwords that everybody can know.
func (b Base) checkServers() error {
	var problems []error
	for _, s := range []struct {
		url      *string
		check    func(string) error
		password func(string) string
	}{{&b.DatabaseURL, db.CheckURL, db.Password}, {&b.AMQPURL, amqp.CheckURL, amqp.Password}} {
		switch err := s.check(*s.url); {
		case *s.url == "":
		case err != nil:
			problems = append(problems, problemOf(&b, s.url, err))
		case b.Env == Production && secret.Published(s.password(*s.url)):
			problems = append(problems, config.Problemf(&b, s.url, "has, or leaves out, a password that %s",
				secret.IsPublished))
		}
	}
	return errors.Join(problems...)
}

func (b Base) checkTLS() error {
	switch {
	case b.TLSCertFile == "" && b.TLSKeyFile == "":
		return nil
	case b.TLSCertFile == "":
		return config.Problemf(&b, &b.TLSCertFile, "is missing beside LATCHKEY_TLS_KEY_FILE")
	case b.TLSKeyFile == "":
		return config.Problemf(&b, &b.TLSKeyFile, "is missing beside LATCHKEY_TLS_CERT_FILE")
	}
	_, err := tls.LoadX509KeyPair(b.TLSCertFile, b.TLSKeyFile)
	return problemOf(&b, &b.TLSCertFile, err)
}

// CheckCertificate finds a certificate that clients refuse at now. It is for config check: a service starts with one
// and warns, since clients may look at nothing but its key, and a new computer's clock may be wrong for a while.
func (b Base) CheckCertificate(now time.Time) error {
	if b.TLSCertFile == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(b.TLSCertFile, b.TLSKeyFile)
	if err != nil {
		return problemOf(&b, &b.TLSCertFile, err)
	}
	if problem, remedy := server.CheckDates(pair.Leaf, now); problem != "" {
		return config.Problemf(&b, &b.TLSCertFile, "names a certificate that clients refuse: %s; %s", problem, remedy)
	}
	return nil
}

// requireDatabase is for programs that have no database.
func (b Base) requireDatabase() error {
	return required(&b, &b.DatabaseURL, "postgres://user:password@host:5432/name")
}

// requireServers is requireDatabase and the same for the broker.
func (b Base) requireServers() error {
	return errors.Join(b.requireDatabase(), required(&b, &b.AMQPURL, "amqp://user:password@host:5672/"))
}

func required(cfg any, value *string, example string) error {
	if *value == "" {
		return config.Problemf(cfg, value, "is missing; set it to something like %s", example)
	}
	return nil
}

// problemOf is err as a problem of the setting at place in cfg, nil for nil.
func problemOf(cfg, place any, err error) error {
	if err == nil {
		return nil
	}
	return config.Problemf(cfg, place, "%v", err)
}
