package detect

import (
	"fmt"
	"slices"
)

// licenseDetectors are the detectors that watch licenses, in the order in which they are asked and stored. To add one,
// write its file with its test and name it here, then "make gen" for its row of docs/detection.md (CONTRIBUTING.md has
// the recipe): what it remembers of the licenses known is made from the received events.
var licenseDetectors = []*detector{&churnDetector, &overuseDetector, &sharingDetector, &dormantDetector}

// addressDetectors are those that watch addresses. There is one, and AddressState is what it remembers.
var addressDetectors = []*detector{&enumerationDetector}

// detector says what there is to know of one kind of abuse.
type detector struct {
	kind Kind
	// version is that of what the detector remembers. Raise it when walk, or the meaning of a stored member, changes:
	// the memory is then made again from the received events, and that of the other detectors stays.
	version uint64
	// weight is how much a finding of full strength says of abuse, 0 to 1: low where honest use often looks so.
	weight float64
	// finds and spares tell, in docs/detection.md, what is taken for abuse and which honest use is left alone.
	finds, spares string
	// words say what one piece of evidence showed, by its number.
	words []string
	// remember makes an empty memory of a license; nil for a detector of addresses.
	remember func() memory
}

// memory is what a detector remembers of a license. Each embeds the trail of its evidence.
type memory interface {
	// observe compares an observation with what was before, and raises what it finds.
	observe(st *step)
	// walk writes or reads all members, by the codec, in a fixed order. The trail is no part of it.
	walk(c *codec)
	evidence() *trail
}

// Kinds are the kinds of abuse that are looked for.
func Kinds() []string {
	var kinds []string
	for _, d := range slices.Concat(licenseDetectors, addressDetectors) {
		kinds = append(kinds, string(d.kind))
	}
	return kinds
}

// Table lists the detectors for docs/detection.md, in Markdown.
func Table() string {
	rows := "| type | found | left alone |\n|---|---|---|\n"
	for _, d := range slices.Concat(licenseDetectors, addressDetectors) {
		rows += fmt.Sprintf("| `%s` | %s | %s |\n", d.kind, d.finds, d.spares)
	}
	return rows
}

// detectorOf is the detector of a kind, or nil.
func detectorOf(k Kind) *detector {
	for _, list := range [][]*detector{licenseDetectors, addressDetectors} {
		if i := slices.IndexFunc(list, func(d *detector) bool { return d.kind == k }); i >= 0 {
			return list[i]
		}
	}
	return nil
}
