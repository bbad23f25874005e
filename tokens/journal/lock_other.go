//go:build !unix

package journal

import (
	"errors"
	"fmt"
	"io"
)

// Lock refuses: without flock two processes could write one journal.
func (osFS) Lock(name string) (io.Closer, error) {
	return nil, fmt.Errorf("lock %s: %w", name, errors.ErrUnsupported)
}
