// Command configdocs writes docs/configuration.md from the structs that hold the settings; scripts/gen runs it.
package main

import (
	"fmt"
	"log"
	"os"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/config"
	"github.com/latchkey-dev/latchkey/services/admin"
	"github.com/latchkey-dev/latchkey/services/analytics"
	"github.com/latchkey-dev/latchkey/services/auth"
	"github.com/latchkey-dev/latchkey/services/license"
)

const introduction = `# Configuration

<!-- Written by scripts/gen; change the structs instead. -->

A setting comes from a flag, else from the environment, else from the file that ` + "`--config`" + ` or LATCHKEY_CONFIG
names (YAML), else from its default. Secrets have no flag, because other users of a computer can see those; each can
be in a file instead, named by the variable with _FILE appended. Unknown settings are refused.
` + "`config check`" + ` reports everything that is wrong, ` + "`config print`" + ` where each value came from.

Each service has a public address of its own (5001 to 5004) and an internal one (5101 to 5104) by default. The suite
in one process (` + "`latchkey`" + `) needs none of this and takes most of it; ` + "`latchkey --help`" + ` shows what.
A setting that a program cannot honor is refused, not ignored; a variable that only other services take is named in
a warning at the start.

Traces are switched on by the standard variables of OpenTelemetry: see [operations](operations.md#traces).
`

func main() {
	authConfig, licenseConfig, analyticsConfig, adminConfig :=
		auth.DefaultConfig(), license.DefaultConfig(), analytics.DefaultConfig(), admin.DefaultConfig()
	fmt.Print(introduction)
	for _, section := range []struct {
		title    string
		settings any
	}{
		{"All services", &app.Base{}},
		{"Services that hash or encrypt: auth, license, admin", &app.MasterKeys{}},
		{"Services that admit devices by token: auth, license", &app.TokenLimit{}},
		{"Services that applications call: auth, license, analytics", &app.Clients{}},
		{"auth", &authConfig},
		{"license", &licenseConfig},
		{"license, where the installation is licensed itself", &licenseConfig.Appliance},
		{"analytics", &analyticsConfig},
		{"admin", &adminConfig},
	} {
		fmt.Printf("\n## %s\n\n", section.title)
		if err := config.Markdown(os.Stdout, section.settings); err != nil {
			log.Fatal(err)
		}
	}
}
