package analytics_test

import (
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/testkit/archtest"
)

// TestImports holds the table of docs/architecture.md.
func TestImports(t *testing.T) {
	const services = "github.com/latchkey-dev/latchkey/services/"
	archtest.Rules(t, "./internal/usage", "gorm.io", "github.com/gin-gonic", "github.com/rabbitmq",
		services+"analytics/internal/store")
	archtest.Rules(t, "./internal/detect", "gorm.io", "github.com/gin-gonic", "github.com/rabbitmq", "net/http",
		"database/sql")
	archtest.Imports(t, "./internal/ingest", "gorm.io", "github.com/gin-gonic", "github.com/rabbitmq",
		services+"analytics/internal/store")
	archtest.Imports(t, "./internal/api", "gorm.io", services+"analytics/internal/store")
	archtest.Imports(t, "./internal/rpc", "gorm.io", services+"analytics/internal/store")
	archtest.Imports(t, ".", "gorm.io")
	for _, peers := range []string{"auth", "license", "admin", "standalone"} {
		archtest.Rules(t, "./...", services+peers)
	}
}
