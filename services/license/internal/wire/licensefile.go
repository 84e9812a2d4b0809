package wire

import (
	"time"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensefile"
)

// LicenseFile is the answer to anyone who asks for a license file.
type LicenseFile struct {
	FileID    string `json:"file_id"`
	LicenseID string `json:"license_id"`
	// HardwareIDs is null for a file for any machine.
	HardwareIDs []string   `json:"hardware_ids"`
	KID         string     `json:"kid"`
	IssuedAt    time.Time  `json:"issued_at"`
	ExpiresAt   *time.Time `json:"expires_at"`
	// LicenseFile is the file itself, lines and all.
	LicenseFile string `json:"license_file"`
}

// NewLicenseFile is the answer with f.
func NewLicenseFile(f *licensefile.File) LicenseFile {
	return LicenseFile{
		FileID:      f.ID,
		LicenseID:   f.LicenseID,
		HardwareIDs: f.Machines,
		KID:         f.KID,
		IssuedAt:    f.IssuedAt,
		ExpiresAt:   httpx.TimeOrNull(f.ExpiresAt),
		LicenseFile: f.Text,
	}
}
