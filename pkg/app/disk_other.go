//go:build !linux && !darwin

package app

import "errors"

func freeOfDisk(string) (uint64, error) {
	return 0, errors.New("this system is not asked for the space of its disks")
}
