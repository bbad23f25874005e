package journal

import "io"

// FS is the part of a file system that a journal stands on: the operating
// system's by default, one that crashes on demand in tests. Names are paths.
// Implementations are used by one goroutine at a time.
type FS interface {
	// Mkdir makes dir and its parents, 0700. A dir that is there is refused
	// where people other than its owner may write into it.
	Mkdir(dir string) error
	// List returns the names in dir, without the path.
	List(dir string) ([]string, error)
	// Read returns a whole file; [io/fs.ErrNotExist] where there is none.
	Read(name string) ([]byte, error)
	// Create makes a file of mode 0600 that must not exist.
	Create(name string) (File, error)
	// Rename puts a file in place of another.
	Rename(from, to string) error
	// Remove removes a file.
	Remove(name string) error
	// SyncDir makes the names in dir durable.
	SyncDir(dir string) error
	// Lock takes the lock of a file, which it makes. [*LockedError] where
	// another process, or another open in this one, has it.
	Lock(name string) (io.Closer, error)
	// Ephemeral reports whether dir is gone with the machine or the container.
	Ephemeral(dir string) (bool, error)
}

// File is a file that is written from its start to its end.
type File interface {
	// Write appends.
	Write(p []byte) (int, error)
	// Truncate cuts what a failed write has left.
	Truncate(size int64) error
	// Reserve takes room up to size without changing what the file holds. Where
	// the file system can't, it does nothing. ENOSPC: there is no room.
	Reserve(size int64) error
	// Sync makes all that was written durable.
	Sync() error
	Close() error
}
