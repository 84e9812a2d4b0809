package licensing

import (
	"regexp"
	"testing"
)

func TestNewKey(t *testing.T) {
	form := regexp.MustCompile(`^LIC-[0-9A-HJKMNP-TV-Z]{12}$`)
	seen := map[string]bool{}
	for range 1000 {
		key := NewKey()
		if !form.MatchString(key) {
			t.Fatalf("key %q has not the documented form", key)
		}
		if NormalizeKey(key) != key {
			t.Fatalf("key %q is not its own normal form but %q", key, NormalizeKey(key))
		}
		if seen[key] {
			t.Fatalf("key %q came twice", key)
		}
		seen[key] = true
	}
}

func TestNormalizeKey(t *testing.T) {
	const own = "LIC-7Q2M0V9KXT41"
	for _, typed := range []string{
		own, "lic-7q2m0v9kxt41", "  LIC-7Q2M0V9KXT41\t", "LIC 7Q2M 0V9K XT41", "LIC-7Q2M-0V9K-XT41", "LIC7Q2M0V9KXT41",
		"LIC-7Q2MOV9KXT4I", "lic-7q2mov9kxt4l", "L1C-7Q2M0V9KXT41",
	} {
		if got := NormalizeKey(typed); got != own {
			t.Errorf("%q became %q, want %q", typed, got, own)
		}
	}
	for typed, want := range map[string]string{
		"":                  "",
		"acme-pro-olive-10": "ACME-PRO-OLIVE-10",
		" ölweide 12 ":      "ÖLWEIDE 12",
		"LIC-7Q2M0V9KXT4":   "LIC-7Q2M0V9KXT4",
		"LIC-7Q2M0V9KXT4U":  "LIC-7Q2M0V9KXT4U",
		"LIC-7Q2M0V9KXT411": "LIC-7Q2M0V9KXT411",
	} {
		if got := NormalizeKey(typed); got != want {
			t.Errorf("%q became %q, want %q", typed, got, want)
		}
	}
}

func TestMaskKey(t *testing.T) {
	for key, want := range map[string]string{
		"LIC-7Q2M0V9KXT41": "LIC-7Q2M********",
		"ACME-PRO-OLIVE":   "ACME********",
		"größe-9":          "größ********",
	} {
		if got := MaskKey(key); got != want {
			t.Errorf("%q is shown as %q, want %q", key, got, want)
		}
	}
}

func FuzzNormalizeKey(f *testing.F) {
	f.Add("lic 7q2m 0v9k xt4i")
	f.Add("\xff\x00 O I L")
	f.Fuzz(func(t *testing.T, typed string) {
		once := NormalizeKey(typed)
		if twice := NormalizeKey(once); twice != once {
			t.Fatalf("%q: %q normalizes to %q", typed, once, twice)
		}
	})
}
