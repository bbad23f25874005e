package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// osFS is the operating system's file system.
type osFS struct{}

const othersMayWrite fs.FileMode = 0o022

func (osFS) Mkdir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&othersMayWrite != 0 {
		return fmt.Errorf("%s may be written by others (mode %04o): use a directory of mode 0700 inside it",
			dir, info.Mode().Perm())
	}
	return nil
}

func (osFS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (osFS) Read(name string) ([]byte, error) { return os.ReadFile(name) }

func (osFS) Create(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }

func (osFS) Remove(name string) error { return os.Remove(name) }

func (osFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (osFS) Ephemeral(dir string) (bool, error) { return ephemeral(dir) }

type osFile struct{ *os.File }

func (f osFile) Reserve(size int64) error {
	err := reserve(f.File, size)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}
