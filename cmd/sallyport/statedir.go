package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/sallyport/sallyport/internal/secret"
)

// configError is what exit code 2 stands for: nothing was started or changed,
// and starting again fails again.
type configError struct{ err error }

func (e *configError) Error() string { return e.err.Error() }
func (e *configError) Unwrap() error { return e.err }

func misconfigured(format string, args ...any) error {
	return &configError{fmt.Errorf(format, args...)}
}

// stateDir is the directory that holds the CA, the journal, the embedded store,
// the keyset, and the admin socket and token.
type stateDir string

// openStateDir makes the state directory at path or takes it over. A mount
// point that sallyport doesn't own is used through a directory of its own
// inside it. A directory that others can read is refused.
func openStateDir(path string) (stateDir, error) {
	err := os.MkdirAll(filepath.Dir(path), 0o750)
	if err == nil {
		err = os.Mkdir(path, 0o700)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", misconfigured("SALLYPORT_STATE_DIR: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", misconfigured("SALLYPORT_STATE_DIR: %w", err)
	}
	if !info.IsDir() {
		return "", misconfigured("SALLYPORT_STATE_DIR: %s is not a directory", path)
	}
	owner, ok := ownerOf(info)
	if ok && owner != os.Geteuid() {
		path = filepath.Join(path, "sallyport")
		if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", misconfigured("SALLYPORT_STATE_DIR belongs to user %d, and no directory can be made inside it: %w", owner, err)
		}
		if info, err = os.Stat(path); err != nil {
			return "", misconfigured("SALLYPORT_STATE_DIR: %w", err)
		}
		if owner, ok = ownerOf(info); ok && owner != os.Geteuid() {
			return "", misconfigured("SALLYPORT_STATE_DIR: %s belongs to user %d, sallyport runs as %d", path, owner, os.Geteuid())
		}
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return "", misconfigured("SALLYPORT_STATE_DIR: others can read %s (mode %#o): run chmod 700 %s", path, mode, path)
	}
	return stateDir(path), nil
}

func ownerOf(info fs.FileInfo) (int, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(st.Uid), true
}

func (d stateDir) path(name string) string { return filepath.Join(string(d), name) }

// read returns the file name. It refuses one that others can read.
func (d stateDir) read(name string) ([]byte, error) { return readPrivate(d.path(name)) }

func readPrivate(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		if owner, ok := ownerOf(info); !ok || owner == os.Geteuid() {
			return nil, misconfigured("others can read %s (mode %#o): run chmod 600 %s", path, mode, path)
		}
	}
	return os.ReadFile(path)
}

// once returns the file name, made by f and made durable at the first start.
func (d stateDir) once(name string, f func() ([]byte, error)) ([]byte, error) {
	b, err := d.read(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	if b, err = f(); err != nil {
		return nil, err
	}
	return b, writePrivate(d.path(name), b)
}

// writePrivate replaces the file at path durably, readable by its owner alone.
func writePrivate(path string, b []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone after the rename
	_, err = tmp.Write(b)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// adminToken returns the token of the admin API: the configured one, or the one
// of the state directory.
func (d stateDir) adminToken(configured secret.Text) (secret.Text, error) {
	if !configured.IsZero() {
		return configured, nil
	}
	b, err := d.once("admin.token", func() ([]byte, error) { return []byte(randomToken()), nil })
	return secret.NewText(string(b)), err
}
