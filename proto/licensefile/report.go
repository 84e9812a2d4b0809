package licensefile

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"time"
)

// ReportFormat is the value of UsageReport.Format.
const ReportFormat = "latchkey-usage-report/1"

// KindUsageReport is what a machine without a network says it has consumed. Its file has no certificate: the device's
// own key signs it, whose public part came with the request for a license file.
const KindUsageReport Kind = "USAGE REPORT"

// MaxReportSize is the largest usage report, in bytes.
const MaxReportSize = 64 << 10

// UsageReport is the payload of a usage report, in JSON.
type UsageReport struct {
	Format string `json:"format"`
	// ReportID is the device's own: a report is counted once.
	ReportID   string `json:"report_id"`
	LicenseID  string `json:"license_id"`
	HardwareID string `json:"hardware_id"`
	// Consumed are amounts by the names of counters.
	Consumed map[string]int64 `json:"consumed"`
	// From and To are when it was consumed.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// SignReport returns the file of a usage report.
func SignReport(device ed25519.PrivateKey, r UsageReport) ([]byte, error) {
	r.Format = ReportFormat
	payload, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	writeSection(&b, string(KindUsageReport), payload)
	writeSection(&b, sectionSignature, ed25519.Sign(device, signedReport(payload)))
	return b.Bytes(), nil
}

// SignedReport is a usage report of which nobody has checked the signature.
type SignedReport struct {
	Payload   []byte
	signature []byte
}

// ParseReport takes a usage report apart. ErrAltered where it has not the one form of such a file.
func ParseReport(text []byte) (*SignedReport, error) {
	if len(text) > MaxReportSize {
		return nil, ErrAltered
	}
	sections, err := parseFrame(text)
	if err != nil {
		return nil, err
	}
	if len(sections) != 2 || sections[0].name != string(KindUsageReport) || sections[1].name != sectionSignature {
		return nil, ErrAltered
	}
	return &SignedReport{Payload: sections[0].content, signature: sections[1].content}, nil
}

// SignedBy reports whether the key of a device signed the report.
func (r *SignedReport) SignedBy(device ed25519.PublicKey) bool {
	return len(device) == ed25519.PublicKeySize && ed25519.Verify(device, signedReport(r.Payload), r.signature)
}

func signedReport(payload []byte) []byte { return append([]byte(KindUsageReport.Prefix()), payload...) }

// ParsePublicKey reads the public key of a device: an Ed25519 key in DER (SubjectPublicKeyInfo), or its 32 bytes alone.
func ParsePublicKey(key []byte) (ed25519.PublicKey, error) {
	if len(key) == ed25519.PublicKeySize {
		return ed25519.PublicKey(key), nil
	}
	return parseKey(key)
}
