//go:build unix

package servers

import "syscall"

// memoryFolder is the folder that Linux keeps in memory, if it has room for servers; else empty. To make a database and
// drop it again, as each test does, is to make and delete six hundred files: that takes a disk ten times as long.
func memoryFolder() string {
	const folder, room = "/dev/shm", 2 << 30 // containers often have 64 MB there
	var at syscall.Statfs_t
	if syscall.Statfs(folder, &at) != nil || uint64(at.Bavail)*uint64(at.Bsize) < room {
		return ""
	}
	return folder
}
