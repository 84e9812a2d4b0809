//go:build unix

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/test/suite"
)

// shellBlock is a fenced block of a page with commands for a shell.
var shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```")

// refused is the comment behind a call that the page expects to be refused, such as "# 403 LICENSE_EXPIRED".
var refused = regexp.MustCompile(`(?m)^(.*)# (4\d\d) ([A-Z_]+)$`)

// shellPrelude has each call of a page fail unless it is answered as the page says: well, or with the status and error
// code in WANT.
const shellPrelude = `set -euo pipefail
curl() {
	if [[ -z ${WANT:-} ]]; then command curl --silent --show-error --fail-with-body "$@"; return; fi
	local answer; answer=$(command curl --silent --show-error --write-out ' %{http_code}' "$@")
	[[ $answer == *"\"${WANT#* }\""*" ${WANT% *}" ]] || { echo "wanted $WANT: $answer" >&2; exit 1; }
}
export -f curl
`

// TestPages runs the commands of the pages for users on the embedded suite, each page from its first block to its last.
func TestPages(t *testing.T) {
	w := start(t, embedded)
	pages, err := filepath.Glob("../../docs/licensing/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("pages %v, %v", pages, err)
	}
	pages = append(pages, "../../docs/license-file.md", "../../docs/import.md", "../../docs/dialects/delegated-keys.md",
		"../../docs/dialects/licensespring.md")
	for _, page := range pages {
		t.Run(filepath.Base(page), func(t *testing.T) { runPage(t, w.Suite, page) })
	}
}

// TestPageOfAppliances runs the commands of the page by which an installation is licensed itself: on one of its own,
// which other tests do not need.
func TestPageOfAppliances(t *testing.T) {
	t.Parallel()
	w := own(t, suite.Options{Embedded: true, Settings: []string{"LATCHKEY_EDGE_PRIVATE_UPSTREAM=true"}})
	runPage(t, w.Suite, "../../docs/dialects/spectra-analyze.md")
}

func runPage(t *testing.T, s *suite.Suite, page string) {
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	blocks := shellBlock.FindAllStringSubmatch(string(raw), -1)
	if len(blocks) == 0 {
		t.Fatal("the page has no commands")
	}
	script := shellPrelude
	for _, block := range blocks {
		script += expectRefusals(block[1])
	}
	script = strings.NewReplacer("http://127.0.0.1:5001", s.AuthURL, "http://127.0.0.1:5002", s.LicenseURL,
		"http://127.0.0.1:5003", s.AnalyticsURL, "http://127.0.0.1:5004", s.AdminURL).Replace(script)
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir = s.Dir // with latchkey-data in it
	cmd.Env = append(os.Environ(), "PATH="+s.Bin+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s\n%s", err, out, script)
	}
}

// expectRefusals puts what the comment behind a call says before the call, which may have several lines.
func expectRefusals(block string) string {
	lines := strings.SplitAfter(block, "\n")
	begin := 0
	for i, line := range lines {
		if m := refused.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil {
			lines[begin] = "WANT='" + m[2] + " " + m[3] + "' " + lines[begin]
		}
		if !strings.HasSuffix(line, "\\\n") {
			begin = i + 1
		}
	}
	return strings.Join(lines, "")
}
