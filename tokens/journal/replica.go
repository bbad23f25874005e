package journal

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

const replicaBytes = 16

// replicaID reads the id that lives beside the files. A new disk is a new
// replica. Where only the id is gone the files know it.
func (j *Journal) replicaID(known string) (string, error) {
	name := filepath.Join(j.dir, "replica")
	b, err := j.fs.Read(name)
	if err == nil {
		if _, bad := hex.DecodeString(string(b)); bad != nil || len(b) != 2*replicaBytes {
			return "", fmt.Errorf("%s is not a replica id: it was edited or truncated; remove it, and the journal's own is used", name)
		}
		return string(b), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	id := known
	if id == "" {
		raw := make([]byte, replicaBytes)
		rand.Read(raw) // never fails (crypto/rand, Go 1.24)
		id = hex.EncodeToString(raw)
	}
	return id, j.replace(name, name+tmpSuffix, []byte(id))
}

// replace writes a small file by way of another one, so that it is whole or
// not there.
func (j *Journal) replace(name, tmp string, b []byte) error {
	if err := j.fs.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := j.fs.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := j.fs.Rename(tmp, name); err != nil {
		return err
	}
	return j.fs.SyncDir(j.dir)
}
