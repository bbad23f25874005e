package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/sallyport/sallyport/internal/secret"
)

type keysetCmd struct {
	New     keysetNewCmd     `cmd:"" help:"Print a new keyset (Tink JSON, AES256-GCM): sallyport keyset new > FILE."`
	Rotate  keysetRotateCmd  `cmd:"" help:"Add a key to a file that opens but does not seal yet."`
	Promote keysetPromoteCmd `cmd:"" help:"Have the newest key of a file seal, once every replica has the file."`
	List    keysetListCmd    `cmd:"" help:"List the keys of a file, without their material."`
}

type keysetNewCmd struct{}

// Run prints a new keyset.
func (*keysetNewCmd) Run(st *streams) error {
	b, err := secret.NewKeyset()
	if err != nil {
		return err
	}
	if _, err = st.out.Write(b); err == nil {
		fmt.Fprintln(st.err, "Whoever reads this keyset can open everything that it seals: keep the file at mode 0600.")
	}
	return err
}

// keysetFile is a keyset in clear.
type keysetFile struct {
	File string `arg:"" help:"The keyset's file."`
}

func (k keysetFile) read() ([]byte, error) {
	b, err := os.ReadFile(k.File)
	if err != nil {
		return nil, &configError{err}
	}
	return b, nil
}

type keysetRotateCmd struct{ keysetFile }

// Run adds a key to the file.
func (c *keysetRotateCmd) Run(st *streams) error {
	b, err := c.read()
	if err != nil {
		return err
	}
	rotated, id, err := secret.Rotate(b)
	if err != nil {
		return err
	}
	if err := replacePrivate(c.File, rotated); err != nil {
		return err
	}
	_, err = fmt.Fprintf(st.out, "key %d was added; once every replica has this file: sallyport keyset promote %s\n", id, c.File)
	return err
}

type keysetPromoteCmd struct{ keysetFile }

// Run makes the newest key of the file primary.
func (c *keysetPromoteCmd) Run(st *streams) error {
	b, err := c.read()
	if err != nil {
		return err
	}
	promoted, err := secret.Promote(b)
	if err != nil {
		return err
	}
	if err := replacePrivate(c.File, promoted); err != nil {
		return err
	}
	_, err = fmt.Fprintln(st.out, "the newest key seals from now on; the older ones still open")
	return err
}

type keysetListCmd struct {
	keysetFile
	output
}

type keyView struct {
	ID      uint32 `json:"id"`
	Primary bool   `json:"primary"`
	Status  string `json:"status"`
	Type    string `json:"type"`
}

// Run lists the keys.
func (c *keysetListCmd) Run(st *streams) error {
	b, err := c.read()
	if err != nil {
		return err
	}
	keys, err := secret.List(b)
	if err != nil {
		return err
	}
	rows, views := [][]string{{"KEY", "SEALS", "STATUS", "TYPE"}}, []keyView{}
	for _, k := range keys {
		views = append(views, keyView(k))
		rows = append(rows, []string{strconv.FormatUint(uint64(k.ID), 10), yesNo(k.Primary), k.Status, k.Type})
	}
	return c.print(st.out, views, rows)
}

// replacePrivate replaces a file, through symbolic links, by one of mode 0600 that has the same owner: serve must still
// be able to read what root has rotated.
func replacePrivate(path string, b []byte) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(real)
	if err != nil {
		return err
	}
	owner, known := ownerOf(info)
	if err := writePrivate(real, b); err != nil {
		return fmt.Errorf("%s stays as it was: %w", path, err)
	}
	if known && owner != os.Geteuid() {
		if err := os.Chown(real, owner, -1); err != nil {
			return fmt.Errorf("%s was replaced and belongs to you now, not to user %d: %w", path, owner, err)
		}
	}
	return nil
}
