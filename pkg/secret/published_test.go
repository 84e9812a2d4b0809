package secret_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/secret"
)

// shapes are what secrets look like in a file; the first group is the secret.
var shapes = map[string]*regexp.Regexp{
	"base64 of 32 bytes":    regexp.MustCompile(`(?:^|[^A-Za-z0-9+/_-])([A-Za-z0-9+/_-]{43}=)`),
	"64 hexadecimal digits": regexp.MustCompile(`(?:^|[^0-9A-Za-z:])([0-9a-fA-F]{64})(?:[^0-9A-Za-z]|$)`),
	"a key with its prefix": regexp.MustCompile(`\b((?:sk|ak|as|rt)_[A-Za-z0-9-]{24,})`),
	"a long quoted text":    regexp.MustCompile("[\"'`]([A-Za-z0-9+/=-]{32,})[\"'`]"),
	"the password of a URL": regexp.MustCompile("[a-z]://[^\\s:/@\"'`]+:([^\\s@\"'`/%${}]+)@"),
	"a line of a profile":   regexp.MustCompile(`(?m)^[A-Z_]*(?:SECRET|PASSWORD|KEY)=([^\s$]+)$`),
}

// random tells what chance may have made from a word or the name of a test.
func random(s string) bool {
	return !strings.HasPrefix(s, "Test") && strings.ContainsAny(s, "0123456789") &&
		strings.ContainsAny(s, "abcdefghijklmnopqrstuvwxyz") &&
		strings.ContainsAny(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
}

// secretsIn finds what looks like a secret.
func secretsIn(text []byte) []string {
	var found []string
	for shape, pattern := range shapes {
		for _, match := range pattern.FindAllSubmatch(text, -1) {
			s := string(match[1])
			if shape == "a long quoted text" && !random(s) || strings.Trim(s, "x") == "" { // hidden by net/url
				continue
			}
			found = append(found, s)
		}
	}
	return found
}

// TestWhatStandsInTheRepositoryIsPublished finds secrets that published.txt lacks.
func TestWhatStandsInTheRepositoryIsPublished(t *testing.T) {
	root := filepath.Join("..", "..")
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v; the test reads the files of a git working tree", err)
	}
	files := strings.Split(strings.Trim(string(out), "\x00"), "\x00")
	if len(files) < 100 {
		t.Fatalf("only %d files", len(files))
	}
	for _, file := range files {
		if strings.HasSuffix(file, ".sum") || strings.HasSuffix(file, "published.txt") { // hashes
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, file))
		if errors.Is(err, fs.ErrNotExist) || err == nil && bytes.IndexByte(text, 0) >= 0 { // deleted, or no text
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		found := secretsIn(text)
		// a file for each, with nothing else in it
		if strings.Contains(file, "-secrets/") && !bytes.Contains(text, []byte("://")) {
			found = append(found, strings.Fields(string(text))...)
		}
		for _, s := range found {
			if !secret.Published(s) {
				t.Errorf("a secret stands in the source: make a random one where it is used, or add this line to "+
					"pkg/secret/published.txt:\n%x %s",
					sha256.Sum256([]byte(s)), file)
			}
		}
	}
}

func TestSecretsAreFound(t *testing.T) {
	var raw [32]byte
	rand.Read(raw[:])
	key := base64.StdEncoding.EncodeToString(raw[:])
	made := secret.New("ak_")
	for text, want := range map[string]string{
		"LATCHKEY_MASTER_KEY=" + key:                     key,
		"peers=auth:" + key + ",x":                       key,
		fmt.Sprintf("const masterKey = %q", key):         key,
		fmt.Sprintf("key: %x", raw):                      fmt.Sprintf("%x", raw),
		"example: " + made:                               made,
		fmt.Sprintf("const s = %q", made[3:]):            made[3:],
		"postgres://me:dev@db/x":                         "dev",
		"# a profile\nPOSTGRES_PASSWORD=dev\nA=b\n":      "dev",
		"image@sha256:" + fmt.Sprintf("%x", raw):         "",
		"postgres://me:$PASSWORD@db/x":                   "",
		"postgres://me:xxxxx@db/x":                       "",
		"postgres://db:5432/x?a=b@c":                     "",
		`"TestSHA256NamesOfTestsHaveLettersOfBothKinds"`: "",
		"POSTGRES_PASSWORD=\nX_KEY=$(make-a-secret)":     "",
	} {
		if found := strings.Join(secretsIn([]byte(text)), " "); (want == "") != (found == "") ||
			!strings.Contains(found, want) {
			t.Errorf("%q: found %q, want %q", text, found, want)
		}
	}
}

func TestPublished(t *testing.T) {
	const standard = "ZGV2LW1hc3Rlci1rZXktZGV2LW1hc3Rlci1rZXktISE=" // deploy/dev.env
	raw, err := base64.StdEncoding.DecodeString(standard)
	if err != nil {
		t.Fatal(err)
	}
	if !secret.Published(standard) || !secret.Published(" "+standard+"\n") || !secret.PublishedKey(raw) ||
		!secret.Published("dev") {
		t.Error("a published secret passes")
	}
	if secret.Published("") || secret.Published(secret.New("")) {
		t.Error("a secret that was never published is refused")
	}
	if secret.Weak("dev-internal-secret") == "" || secret.WeakKey(raw) == "" {
		t.Error("a published secret is not weak")
	}
}

// TestRandomKeysAreNotWeak: 200,000 random keys, none refused.
func TestRandomKeysAreNotWeak(t *testing.T) {
	var key [32]byte
	for range 200_000 {
		rand.Read(key[:])
		if why := secret.WeakKey(key[:]); why != "" {
			t.Fatalf("%x %s", key, why)
		}
	}
}
