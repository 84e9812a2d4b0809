// Command detectordocs writes the table of docs/detection.md from what the detectors say of themselves; scripts/gen
// runs it.
package main

import (
	"fmt"

	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
)

func main() { fmt.Print(detect.Table()) }
