package usage

import "net/netip"

// An address hides those of clients if so many devices, with that share of all uses, seem to sit behind it.
const (
	hiddenDevices = 10
	hiddenShare   = 0.95
)

// HidingAddress is the address that nearly all uses come from though it can be no client's of its own, with its share:
// one of a private network, or one that may be a proxy's. It is "" where there is none.
func HidingAddress(uses []Event) (address string, share float64) {
	counts := map[string]int{}
	for i := range uses {
		ip := uses[i].IP
		if counts[ip]++; counts[ip] > counts[address] {
			address = ip
		}
	}
	devices, hides := map[DeviceKey]bool{}, false
	for i := range uses {
		if e := &uses[i]; e.IP == address {
			devices[DeviceKey{e.LicenseID, e.HardwareID}] = true
			hides = hides || e.ViaProxy || private(address)
		}
	}
	share = Share(int64(counts[address]), int64(len(uses)))
	if !hides || len(devices) < hiddenDevices || share < hiddenShare {
		return "", 0
	}
	return address, share
}

// private leaves out this computer itself: development runs on it.
func private(ip string) bool {
	addr, err := netip.ParseAddr(ip)
	return err == nil && addr.Unmap().IsPrivate()
}
