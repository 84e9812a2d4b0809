package main

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/services/admin"
	"github.com/latchkey-dev/latchkey/services/analytics"
	"github.com/latchkey-dev/latchkey/services/auth"
	"github.com/latchkey-dev/latchkey/services/license"
)

// anotherValue has a good value that is not the default for every setting that the program takes. One that is missing
// here fails TestEverySettingReachesTheServices.
func anotherValue(t *testing.T) map[string]string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	return map[string]string{
		"LATCHKEY_DATA_DIR": dir, "LATCHKEY_ENV": "production",
		"LATCHKEY_AUTH_ADDR": "127.0.0.1:7001", "LATCHKEY_LICENSE_ADDR": "127.0.0.1:7002",
		"LATCHKEY_ANALYTICS_ADDR": "127.0.0.1:7003", "LATCHKEY_ADMIN_ADDR": "127.0.0.1:7004",
		"LATCHKEY_DATABASE_URL": goodSettings["LATCHKEY_DATABASE_URL"], "LATCHKEY_DATABASE_MAX_CONNS": "7",
		"LATCHKEY_AMQP_URL": goodSettings["LATCHKEY_AMQP_URL"], "LATCHKEY_LOG_LEVEL": "debug",
		"LATCHKEY_LOG_FORMAT": "json", "LATCHKEY_DRAIN_DELAY": "7s", "LATCHKEY_CORS_ORIGINS": "https://app.example.com",
		"LATCHKEY_RATE_LIMIT_SHARED": "true", "LATCHKEY_ADDRESS_LIMITS": "false",
		"LATCHKEY_TRUSTED_PROXIES": "10.0.0.0/8",
		"LATCHKEY_TLS_CERT_FILE":   filepath.Join(dir, "tls.crt"),
		"LATCHKEY_TLS_KEY_FILE":    filepath.Join(dir, "tls.key"),
		"LATCHKEY_METRICS_PUBLIC":  "true", "LATCHKEY_DOCS_DISABLED": "true", "LATCHKEY_EVENT_LOG_DAYS": "7",
		"LATCHKEY_MAINTENANCE": "true", "LATCHKEY_START_TIMEOUT": "7s",
		"LATCHKEY_MASTER_KEY": newSecrets().MasterKey, "LATCHKEY_MASTER_KEY_PREVIOUS": newSecrets().MasterKey,
		"LATCHKEY_MASTER_KEY_NEXT": newSecrets().MasterKey, "LATCHKEY_ADMIN_SECRET": newSecrets().AdminSecret,
		"LATCHKEY_ADMIN_SECRET_PREVIOUS": newSecrets().AdminSecret, "LATCHKEY_ADMIN_API_KEY": newSecrets().AdminAPIKey,
		"LATCHKEY_TOKEN_RATE_LIMIT": "7", "LATCHKEY_CACHE_BYTES": "7000000",
		"LATCHKEY_GEOIP_FILE": filepath.Join(dir, "countries.mmdb"), "LATCHKEY_DIALECTS": "spectra-analyze",
		"LATCHKEY_EDGE": "true", "LATCHKEY_EDGE_URL": "https://licenses.example.com",
		"LATCHKEY_EDGE_ROOTS":   string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"LATCHKEY_EDGE_PRODUCT": "suite", "LATCHKEY_EDGE_CHECK_EVERY": "7s", "LATCHKEY_EDGE_PRIVATE_UPSTREAM": "true",
		"LATCHKEY_RETENTION_DAYS": "7",
	}
}

// TestEverySettingReachesTheServices: whatever the program takes is what each service gets that has such a setting.
func TestEverySettingReachesTheServices(t *testing.T) {
	setEnvironment(t, program)
	values := anotherValue(t)
	for _, setting := range taken(program) {
		if _, no := unusableSettings()[setting]; no {
			continue
		}
		if values[setting] == "" {
			t.Errorf("the table has no value for %s", setting)
		}
		t.Setenv(setting, values[setting])
	}
	set, err := loadSettings(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	made := newSecrets()
	err = set.complete(&made)
	for _, problem := range regexp.MustCompile(`\n  - (\S+)`).FindAllStringSubmatch(fmt.Sprint(err), -1) {
		if !strings.HasSuffix(problem[1], "_FILE") { // there are no such files
			t.Errorf("a value is refused: %v", err)
		}
	}
	reached := map[string]int{}
	for _, dst := range set.all() {
		eachSetting(reflect.ValueOf(dst).Elem(), func(setting string, got reflect.Value) {
			if _, no := unusableSettings()[setting]; no {
				return
			}
			reached[setting]++
			if text := settingText(got); text != strings.TrimSpace(values[setting]) {
				t.Errorf("%T has %s=%s, want %s", dst, setting, text, values[setting])
			}
		})
	}
	for _, setting := range taken(program) {
		if _, no := unusableSettings()[setting]; !no && reached[setting] == 0 {
			t.Errorf("nobody has %s", setting)
		}
	}
	for _, svc := range newServices(set) {
		if svc.addr != values[svc.addrSetting()] {
			t.Errorf("%s listens at %s", svc.Name, svc.addr)
		}
	}
	if url := set.sqliteURL("auth"); url != "sqlite:"+filepath.Join(values["LATCHKEY_DATA_DIR"], "auth.db") {
		t.Errorf("the data is in %s", url)
	}
}

// TestInternalPortsStayOnThisComputer unless somebody says otherwise.
func TestInternalPortsStayOnThisComputer(t *testing.T) {
	for name, addr := range map[string]string{
		"auth": auth.DefaultConfig().InternalAddr, "license": license.DefaultConfig().InternalAddr,
		"analytics": analytics.DefaultConfig().InternalAddr, "admin": admin.DefaultConfig().InternalAddr,
	} {
		if at, err := netip.ParseAddrPort(addr); err != nil || !at.Addr().IsLoopback() {
			t.Errorf("the internal port of %s is at %s by default (%v)", name, addr, err)
		}
	}
}

// eachSetting calls fn with the fields of a struct that are settings, also those of embedded structs.
func eachSetting(s reflect.Value, fn func(setting string, got reflect.Value)) {
	for i := range s.NumField() {
		field := s.Type().Field(i)
		if key := field.Tag.Get("key"); key != "" {
			fn("LATCHKEY_"+strings.ToUpper(key), s.Field(i))
		} else if field.Anonymous {
			eachSetting(s.Field(i), fn)
		}
	}
}

// settingText is a value as somebody would set it.
func settingText(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return "unset"
		}
		v = v.Elem()
	}
	switch value := v.Interface().(type) {
	case secret.Secret:
		return strings.TrimSpace(value.Reveal())
	case []string:
		return strings.Join(value, ",")
	default:
		return strings.TrimSpace(fmt.Sprint(value))
	}
}
