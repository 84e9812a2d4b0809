package detect

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func BenchmarkLicense(b *testing.B) {
	office := licensed(5)
	for i := range 5 {
		office.works(0, 20, fmt.Sprintf("pc-%d", i), officeLine)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var worst []Observation
	for i := range 20_000 {
		worst = append(worst, noise(i, rng))
	}
	for name, obs := range map[string][]Observation{"office": office.ordered(), "noise": worst} {
		b.Run(name, func(b *testing.B) {
			e, l := New(), License{ID: "lic-1", MaxDevices: 5}
			var s LicenseState
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%len(obs) == 0 {
					s = LicenseState{}
				}
				e.License(&s, l, obs[i%len(obs)])
			}
		})
	}
}

func BenchmarkAddress(b *testing.B) {
	e := New()
	var s AddressState
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		o := guess(i, "", "hw", "203.0.113.9")
		o.KeyHash = string(rune(i))
		e.Address(&s, o)
	}
}

func BenchmarkSnapshot(b *testing.B) {
	e, rng := New(), rand.New(rand.NewPCG(1, 2))
	var s LicenseState
	for i := range 20_000 {
		e.License(&s, License{ID: "lic-1", MaxDevices: 5}, noise(i, rng))
	}
	b.ReportAllocs()
	for b.Loop() {
		data, err := s.MarshalBinary()
		if err != nil {
			b.Fatal(err)
		}
		var back LicenseState
		if err := back.UnmarshalBinary(data); err != nil {
			b.Fatal(err)
		}
	}
}
