package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// ofVhost are the commands of rabbitmqctl that look at the virtual host "/", where nothing of ours is, unless another
// is named.
var ofVhost = regexp.MustCompile(`rabbitmqctl (?:--quiet )?` +
	`(?:(?:list|purge|delete)_queues?|list_bindings|list_permissions|set_(?:topic_)?permissions)( -p)?`)

// TestCommandsNameTheVirtualHost looks at every command that pages and scripts give.
func TestCommandsNameTheVirtualHost(t *testing.T) {
	found := 0
	for _, pattern := range []string{
		"docs/*.md", "docs/*/*.md", "deploy/*/README.md", "deploy/*/*/README.md", "scripts/*",
	} {
		files, err := filepath.Glob(filepath.Join(repository, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range ofVhost.FindAllStringSubmatch(string(raw), -1) {
				found++
				if m[1] == "" {
					t.Errorf("%s: %q looks at another virtual host", strings.TrimPrefix(file, repository+"/"), m[0])
				}
			}
		}
	}
	if found < 5 {
		t.Errorf("found %d commands, so this test shows nothing", found)
	}
}
