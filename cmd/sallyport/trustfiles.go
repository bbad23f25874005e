package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// sumsFile lists what was built, as sha256sum writes and checks it. By it a later run knows its own files from others'.
const sumsFile = "SHA256SUMS"

// trustFile is a file to be built, for everyone to read: there is no secret in it.
type trustFile struct {
	name string
	data []byte
}

// foreignError says that a file isn't one that trust has built.
type foreignError struct{ path string }

func (e *foreignError) Error() string {
	return e.path + " wasn't built by this command, or was changed since: move it away, choose another --out, or overwrite it with --force"
}

// writeTrust puts files into dir, each atomically, with mode 0644. It fails with a [foreignError], and changes nothing,
// where one of them is there already and isn't ours, unless it is forced to. What is no regular file is never replaced.
func writeTrust(dir string, files []trustFile, force bool) error {
	sums, err := readSums(filepath.Join(dir, sumsFile), force)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := mayReplace(filepath.Join(dir, f.name), f.data, sums[f.name], force); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, publicDir); err != nil {
		return err
	}
	for _, f := range files {
		if err := writePublic(filepath.Join(dir, f.name), f.data); err != nil {
			return err
		}
		sums[f.name] = sum(f.data)
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		b.WriteString(sums[name] + "  " + name + "\n")
	}
	return writePublic(filepath.Join(dir, sumsFile), []byte(b.String()))
}

func mayReplace(path string, data []byte, known string, force bool) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file and isn't replaced: choose another --out", path)
	case force:
		return nil
	}
	there, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if sum(there) != known && !bytes.Equal(there, data) {
		return &foreignError{path}
	}
	return nil
}

// readSums reads the list. What is no such list is another's file.
func readSums(path string, force bool) (map[string]string, error) {
	sums := map[string]string{}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return sums, nil
	}
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		hash, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if !ok || len(hash) != 2*sha256.Size || !slices.Contains([]string{trustCA, trustBundle, trustJava}, name) {
			if force {
				return map[string]string{}, nil
			}
			return nil, &foreignError{path}
		}
		sums[name] = hash
	}
	return sums, nil
}

func sum(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

// Programs of every user trust what is built.
const (
	publicDir  fs.FileMode = 0o755
	publicFile fs.FileMode = 0o644
)

// writePublic replaces the file at path, readable by everyone whatever the umask is.
func writePublic(path string, b []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone after the rename
	_, err = tmp.Write(b)
	if err == nil {
		err = tmp.Chmod(publicFile)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
