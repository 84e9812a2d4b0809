package license

import (
	"fmt"
	"net/netip"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// countries answers from a MaxMind database file.
type countries struct{ db *maxminddb.Reader }

// openCountries opens the database that the setting names, nil for none. The file is mapped: it stays as it is for as
// long as the process runs, unless anyone who updates it writes over it in place, which must not be done.
func openCountries(file string) (licensing.Geo, error) {
	if file == "" {
		return nil, nil
	}
	db, err := maxminddb.Open(file)
	if err != nil {
		return nil, fmt.Errorf("open the GeoIP database: %w", err)
	}
	found := countries{db}
	if _, err := found.country(netip.IPv4Unspecified()); err != nil {
		return nil, fmt.Errorf("read the GeoIP database %s, which must know countries: %w", file, err)
	}
	return found, nil
}

// Country implements licensing.Geo. What cannot be read is as good as unknown.
func (c countries) Country(addr netip.Addr) string {
	code, err := c.country(addr)
	if err != nil {
		return ""
	}
	return code
}

func (c countries) country(addr netip.Addr) (code string, err error) {
	err = c.db.Lookup(addr).DecodePath(&code, "country", "iso_code")
	return code, err
}
