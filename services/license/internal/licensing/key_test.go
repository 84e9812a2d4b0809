package licensing

import (
	"regexp"
	"strings"
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
		"Acme-PRO-olive-10": "acme-pro-olive-10",
		" ÖlweiDE 12 ":      "ölweide 12",
		"GROẞE-STRASSE":     "große-strasse",
		"LIC-7Q2M0V9KXT4":   "lic-7q2m0v9kxt4",
		"LIC-7Q2M0V9KXT4U":  "lic-7q2m0v9kxt4u",
		"LIC-7Q2M0V9KXT411": "lic-7q2m0v9kxt411",
		"LIC-\uff11":        "lic-\uff11", // full-width forms fold in our own format only
	} {
		if got := NormalizeKey(typed); got != want {
			t.Errorf("%q became %q, want %q", typed, got, want)
		}
	}
}

// TestKeysAsTheyArrive: what mail programs, word processors, terminals and input methods make of a key.
func TestKeysAsTheyArrive(t *testing.T) {
	const own, brought = "LIC-7Q2M0V9KXT41", "acme-pro-ölweide-12"
	forms := map[string]string{"full-width": "ＬＩＣ－７Ｑ２Ｍ０Ｖ９ＫＸＴ４１", "full-width, small": "ｌｉｃ－７ｑ２ｍ０ｖ９ｋｘｔ４１",
		"soft hyphen": "LIC-7Q2M\u00ad0V9KXT41", "zero width within": "LIC-7Q2M\u200b0V9K\u2060XT41",
		"ideographic blank": "LIC\u30007Q2M 0V9K XT41"}
	for name, typed := range forms {
		if got := NormalizeKey(typed); got != own {
			t.Errorf("%s: %q became %q", name, typed, got)
		}
	}
	for _, end := range []string{"\r\n", "\n", "\t", " ", "\u00a0", "\u200b", "\u200e", "\u200f", "\u2060", "\ufeff",
		"\u2028", "\u0085"} {
		for _, key := range []string{own, brought} {
			for _, typed := range []string{key + end, end + key, end + key + end} {
				if got := NormalizeKey(typed); got != key {
					t.Errorf("%+q became %+q", typed, got)
				}
			}
		}
	}
	for _, hyphen := range "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d" {
		for _, key := range []string{own, brought} {
			if got := NormalizeKey(strings.ReplaceAll(key, "-", string(hyphen))); got != key {
				t.Errorf("%U: %q became %q", hyphen, key, got)
			}
		}
	}
	for _, typed := range []string{"ACME-PRO-ÖLWEIDE-12", "acme-pro-o\u0308lweide-12"} {
		if got := NormalizeKey(typed); got != brought {
			t.Errorf("%+q became %q", typed, got)
		}
	}
}

// TestImportedKeys: what NormalizeKey does not count is not kept either, where nobody sees it.
func TestImportedKeys(t *testing.T) {
	for typed, want := range map[string]struct {
		key string
		bad bool
	}{
		" lic-7q2m 0v9k-xt4i\n":        {key: "lic-7q2m 0v9k-xt4i"},
		"LIC-7Q2M\r\n0V9K\tXT4\u200bI": {key: "LIC-7Q2M0V9KXT4I"},
		"ACME-PRO OLIVE":               {key: "ACME-PRO OLIVE"},
		"ACME-PRO\nOLIVE":              {key: "ACME-PRO\nOLIVE", bad: true},
		"short":                        {key: "short", bad: true},
	} {
		if key, problem := importedKey(typed); key != want.key || (problem != "") != want.bad {
			t.Errorf("%q is kept as %q, %q", typed, key, problem)
		}
	}
}

func TestMaskedKeys(t *testing.T) {
	for key, want := range map[string]string{
		"LIC-7Q2M0V9KXT41": "LIC-7Q2M********",
		"lic7q2m0v9kxt41":  "LIC-7Q2M********",
		"ACME-PRO-OLIVE":   "ACME********",
		"größe-zwölf-12":   "größ********",
		"ABCDEFGHIJKL":     "ABCD********",
		"ABCDEFGHIJK":      "********",
		"LIC-7788":         "********",
		"ABCD1234":         "********",
	} {
		if got := MaskKey(key); got != want {
			t.Errorf("%q is shown as %q, want %q", key, got, want)
		}
	}
}

func FuzzNormalizeKey(f *testing.F) {
	f.Add("lic 7q2m 0v9k xt4i")
	f.Add("\xff\x00 O I L")
	for _, typed := range []string{"ＬＩＣ－７Ｑ２Ｍ０Ｖ９ＫＸＴ４１",
		"\ufeffGROẞE\u2011STRASSE\u200b", "ǅ\u0345\u0301ΰ", "İı", "\u1f82\u0345", "\u212bngström", "\u13bc\uab8c"} {
		f.Add(typed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		once := NormalizeKey(typed)
		if twice := NormalizeKey(once); twice != once {
			t.Fatalf("%q: %q normalizes to %q", typed, once, twice)
		}
	})
}
