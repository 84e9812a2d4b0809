package licensing

import (
	"cmp"
	"context"
	"strings"
	"time"
)

// ProductRules are what a product demands of every use of its licenses.
type ProductRules struct {
	// Inactive refuses it.
	Inactive bool
	// MinVersion is the oldest version of the application that may be used, empty for any.
	MinVersion string
	// ByUser refuses calls of nobody who has signed in.
	ByUser bool
}

// productRules are those of the product of the license.
func (l *License) productRules() ProductRules {
	if l.ProductRules == nil {
		return ProductRules{}
	}
	return *l.ProductRules
}

// The rules that a version of the application can break.
const (
	RuleMinVersion  = "min_version"
	RuleMaintenance = "maintenance"
)

// VersionRule is the first rule that the version of the application breaks, empty for none.
func (r Request) VersionRule() string {
	switch {
	case !versionNewEnough(r):
		return RuleMinVersion
	case !versionMaintained(r):
		return RuleMaintenance
	}
	return ""
}

// versionNewEnough reports whether the product admits the application. One that does not say its version is admitted.
func versionNewEnough(r Request) bool {
	oldest := r.License.productRules().MinVersion
	return r.AppVersion == "" || oldest == "" || CompareVersions(r.AppVersion, oldest) >= 0
}

// versionMaintained reports whether the application came out before the maintenance ended. A release that nobody listed
// did.
func versionMaintained(r Request) bool {
	end := r.License.MaintenanceUntil
	return r.AppVersion == "" || end.IsZero() || r.ReleasedAt.IsZero() || !r.ReleasedAt.After(end)
}

func newEnoughFacts(r Request) (observed, limit any) {
	oldest := r.License.productRules().MinVersion
	if r.AppVersion == "" || oldest == "" {
		return nil, nil
	}
	return map[string]any{"app_version": r.AppVersion}, map[string]any{"min_version": oldest}
}

func maintainedFacts(r Request) (observed, limit any) {
	end := r.License.MaintenanceUntil
	if r.AppVersion == "" || end.IsZero() {
		return nil, nil
	}
	return map[string]any{"app_version": r.AppVersion, "released_at": timeValue(r.ReleasedAt)},
		map[string]any{"maintenance_until": timeValue(end)}
}

// needsRelease reports whether the verdict depends on when the version came out.
func (l *License) needsRelease(version string) bool {
	return version != "" && !l.MaintenanceUntil.IsZero()
}

// CompareVersions orders versions as semantic versions (semver.org) are: by their numbers, and a pre-release before its
// release; what follows a plus does not count. Other texts are compared part by part in the same way.
func CompareVersions(a, b string) int {
	aCore, aPre, aIsPre := cutVersion(a)
	bCore, bPre, bIsPre := cutVersion(b)
	if order := compareParts(aCore, bCore, "0"); order != 0 {
		return order
	}
	switch {
	case aIsPre && bIsPre:
		return compareParts(aPre, bPre, "")
	case aIsPre:
		return -1
	case bIsPre:
		return 1
	}
	return 0
}

// FoldVersion is the same text for all versions that compare equal: v2.0.0, 2.0 and 2 are one.
func FoldVersion(version string) string {
	core, pre, isPre := cutVersion(version)
	folded := foldParts(core, "0")
	if isPre {
		folded += "-" + foldParts(pre, "")
	}
	return folded
}

// foldParts leaves out what compareParts does not look at: leading zeros, and parts at the end that are like missing.
func foldParts(text, missing string) string {
	parts := strings.Split(text, ".")
	for i, p := range parts {
		if number, ok := digits(p); ok {
			parts[i] = cmp.Or(number, "0")
		}
	}
	for len(parts) > 1 && parts[len(parts)-1] == missing {
		parts = parts[:len(parts)-1]
	}
	return strings.Join(parts, ".")
}

func cutVersion(version string) (core, pre string, isPre bool) {
	version, _, _ = strings.Cut(strings.ToLower(version), "+")
	return strings.Cut(strings.TrimPrefix(version, "v"), "-")
}

// compareParts compares texts between dots; where one has fewer of them, missing takes their place.
func compareParts(a, b, missing string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		if order := comparePart(part(as, i, missing), part(bs, i, missing)); order != 0 {
			return order
		}
	}
	return 0
}

func part(parts []string, i int, missing string) string {
	if i < len(parts) {
		return parts[i]
	}
	return missing
}

// comparePart puts numbers before texts; no part at all comes first.
func comparePart(a, b string) int {
	aNumber, aIsNumber := digits(a)
	bNumber, bIsNumber := digits(b)
	switch {
	case aIsNumber && bIsNumber:
		return cmp.Or(cmp.Compare(len(aNumber), len(bNumber)), strings.Compare(aNumber, bNumber))
	case aIsNumber && b != "":
		return -1
	case bIsNumber && a != "":
		return 1
	}
	return strings.Compare(a, b)
}

// digits is a number without its leading zeros, however long it is.
func digits(text string) (number string, ok bool) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return "", false
	}
	return strings.TrimLeft(text, "0"), true
}

// releasedAt is when a version came out, zero where that does not matter or nobody said.
func (s *Seats) releasedAt(ctx context.Context, l *License, version string) (time.Time, error) {
	if !l.needsRelease(version) {
		return time.Time{}, nil
	}
	return s.Lookup.ReleasedAt(ctx, l.Product, version)
}

// releaseOf is releasedAt for a license by its id.
func (s *Seats) releaseOf(ctx context.Context, licenseID, version string) (time.Time, error) {
	if version == "" {
		return time.Time{}, nil
	}
	l, _, err := s.Lookup.License(ctx, licenseID)
	if err != nil {
		return time.Time{}, err
	}
	return s.releasedAt(ctx, l, version)
}
