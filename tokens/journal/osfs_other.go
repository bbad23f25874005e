//go:build !linux

package journal

import (
	"errors"
	"os"
)

// reserve can't: there is no fallocate that keeps the length.
func reserve(*os.File, int64) error { return errors.ErrUnsupported }

// ephemeral can't tell.
func ephemeral(string) (bool, error) { return false, nil }
