// Command metricdocs writes docs/metrics.md from the metrics that the services register; scripts/gen runs it.
package main

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/latchkey-dev/latchkey/test/metrics"
)

const introduction = `# Metrics

<!-- Written by scripts/gen; change the metrics instead. -->

Each service answers ` + "`/metrics`" + ` in the Prometheus text format on its internal port, in development on the
public one, too. Every metric has the label ` + "`service`" + `. No label holds a key, a license, an address or a path
that somebody asked for, so the number of series is bounded. Beside these there are the usual ones of the Go runtime
(` + "`go_*`" + `) and of the process (` + "`process_*`" + `).

| metric | type | labels | services | what it shows |
|---|---|---|---|---|
`

func main() {
	all, err := metrics.All(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(introduction)
	for _, m := range all {
		services := strings.Join(m.Services, ", ")
		if len(m.Services) == 4 {
			services = "all"
		}
		fmt.Printf("| `%s` | %s | %s | %s | %s |\n", m.Name, m.Type(), strings.Join(m.Labels, ", "), services, m.Help)
	}
}
