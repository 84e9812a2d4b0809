package appliance

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/proto/errcode"
	file "github.com/latchkey-dev/latchkey/proto/licensefile"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const machine = "machine-1"

// signed is a license file for machines, good for a day from noon, and the root behind it.
func signed(t testing.TB, machines ...string) (text []byte, root ed25519.PublicKey) {
	t.Helper()
	root, rootKey, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := file.Certify(rootKey, public, file.Certificate{
		Use: file.UseLicenses, Product: "editor", NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(file.Payload{
		Format: file.Format, FileID: "f-1", License: file.License{LicenseID: "l-1", Product: "editor"},
		Machines: machines, IssuedAt: noon, ExpiresAt: noon.Add(24 * time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	return file.Signer{Certificate: certificate, Key: key}.Sign(file.KindLicense, payload), root
}

func TestStatusOfAFile(t *testing.T) {
	text, root := signed(t, "machine-0", machine)
	forAny, anyRoot := signed(t)
	_, other := signed(t)
	for name, tt := range map[string]struct {
		file    File
		machine string
		at      time.Duration
		want    Status
	}{
		"good":             {File{Text: text, signer: root, product: "editor"}, machine, time.Hour, Valid},
		"to its end":       {File{Text: text, signer: root, product: "editor"}, machine, 24*time.Hour - 1, Valid},
		"at its end":       {File{Text: text, signer: root, product: "editor"}, machine, 24 * time.Hour, Expired},
		"another machine":  {File{Text: text, signer: root, product: "editor"}, "machine-2", 0, Unlicensed},
		"any machine":      {File{Text: forAny, signer: anyRoot, product: "editor"}, "machine-2", 0, Unlicensed},
		"another product":  {File{Text: text, signer: root, product: "viewer"}, machine, 0, Invalid},
		"another root":     {File{Text: text, signer: other, product: "editor"}, machine, 0, Invalid},
		"nobody's":         {File{Text: text, product: "editor"}, machine, 0, Invalid},
		"from the future":  {File{Text: text, signer: root, product: "editor"}, machine, -time.Hour, Invalid},
		"an altered frame": {File{Text: text[1:], signer: root, product: "editor"}, machine, 0, Invalid},
	} {
		i := Installation{MachineID: tt.machine, File: &tt.file}
		if got := i.Status(noon.Add(tt.at)); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
	ended := Installation{
		MachineID: machine, SeenAt: noon.Add(24 * time.Hour), File: &File{Text: text, signer: root, product: "editor"},
	}
	if got := ended.Status(noon); got != Expired {
		t.Errorf("with a clock that was set back: %s", got)
	}
	if got := (&Installation{MachineID: machine}).Status(noon); got != Unlicensed {
		t.Errorf("nothing: %s", got)
	}
}

func TestStatusOfACloudAccount(t *testing.T) {
	const day = 24 * time.Hour
	for name, tt := range map[string]struct {
		cloud Cloud
		at    time.Duration
		want  Status
	}{
		"heard just now":          {Cloud{}, 0, Valid},
		"heard lately":            {Cloud{}, freshFor - 1, Valid},
		"not heard of":            {Cloud{}, freshFor, GracePeriod},
		"without an answer":       {Cloud{Failures: 1}, time.Second, GracePeriod},
		"day 13":                  {Cloud{Failures: 400}, 13 * day, GracePeriod},
		"to the end of the grace": {Cloud{Failures: 400}, 14*day - 1, GracePeriod},
		"after the grace":         {Cloud{Failures: 400}, 14 * day, Expired},
		"not asked for so long":   {Cloud{}, 14 * day, Expired},
		"expired upstream":        {Cloud{Refusal: errcode.LicenseExpired}, 0, Expired},
		"suspended":               {Cloud{Refusal: errcode.LicenseSuspended}, 0, Invalid},
		"the seat is gone":        {Cloud{Refusal: errcode.DeviceNotActivated}, 0, Invalid},
		"suspended, then cut":     {Cloud{Refusal: errcode.LicenseSuspended, Failures: 9}, day, Invalid},
		"an end that has passed":  {Cloud{Answer: Answer{UsableUntil: noon.Add(day)}}, day, Expired},
		"an end ahead": {Cloud{Answer: Answer{UsableUntil: noon.Add(day)}, Failures: 1}, day - 1,
			GracePeriod},
		"an end that was moved away": {Cloud{Answer: Answer{UsableUntil: noon.Add(-day)}}, 0, Valid},
	} {
		tt.cloud.HeardAt = noon
		i := Installation{MachineID: machine, Cloud: &tt.cloud}
		got := i.Status(noon.Add(tt.at))
		if got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
		if got.Licensed() != (got == Valid || got == GracePeriod) {
			t.Errorf("%s counts as licensed: %v", got, got.Licensed())
		}
	}
}

func TestHear(t *testing.T) {
	c := &Cloud{}
	refused := &RefusedError{Code: errcode.LicenseSuspended}
	for _, step := range []struct {
		err    error
		status Status
	}{
		{nil, Valid}, {errors.New("no route"), GracePeriod}, {errors.New("no route"), GracePeriod}, {nil, Valid},
		{refused, Invalid}, {errors.New("no route"), Invalid}, {nil, Valid},
		{&RefusedError{Code: errcode.LicenseExpired}, Expired}, {nil, Valid},
	} {
		c.hear(Answer{LicenseID: "l-1"}, step.err, noon)
		if got := c.status(noon, false); got != step.status {
			t.Errorf("after %v: %s, want %s", step.err, got, step.status)
		}
	}
}

func TestPause(t *testing.T) {
	a := New(Deps{CheckEvery: time.Minute})
	for failures, longest := range map[int]time.Duration{
		0: time.Minute, 1: time.Minute, 2: 2 * time.Minute, 3: 4 * time.Minute, 4: 5 * time.Minute,
		1 << 40: 5 * time.Minute,
	} {
		for range 20 {
			if got := a.pause(failures); got > longest || got < longest*4/5 {
				t.Errorf("after %d failures: %s, want up to %s", failures, got, longest)
			}
		}
	}
}

// FuzzFile: whatever is stored, only what a trusted root signed is good.
func FuzzFile(f *testing.F) {
	text, root := signed(f, machine)
	trust := Trust{Roots: func(context.Context) ([]ed25519.PublicKey, error) { return []ed25519.PublicKey{root}, nil }}
	f.Add(text)
	f.Add(text[:len(text)/2])
	f.Fuzz(func(t *testing.T, stored []byte) {
		i := Installation{MachineID: machine, File: &File{Text: stored}}
		if err := trust.findIssuer(t.Context(), i.File); err != nil {
			t.Fatal(err)
		}
		if got := i.View(noon).Status; (got == Valid) != bytes.Equal(stored, text) {
			t.Errorf("%q is %s", stored, got)
		}
	})
}
