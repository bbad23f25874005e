package journal

import (
	"os"

	"golang.org/x/sys/unix"
)

// reserve allocates blocks up to size and leaves the file's length as it is
// (fallocate(2), FALLOC_FL_KEEP_SIZE).
func reserve(f *os.File, size int64) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var res error
	if err := raw.Control(func(fd uintptr) {
		for res = unix.EINTR; res == unix.EINTR; {
			res = unix.Fallocate(int(fd), unix.FALLOC_FL_KEEP_SIZE, 0, size)
		}
	}); err != nil {
		return err
	}
	return os.NewSyscallError("fallocate", res)
}

// ephemeral knows a file system that lives in memory or dies with a container
// by its magic number (statfs(2)).
func ephemeral(dir string) (bool, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return false, os.NewSyscallError("statfs", err)
	}
	switch uint32(s.Type) { // of another type on each architecture
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC:
		return true, nil
	}
	return false, nil
}
