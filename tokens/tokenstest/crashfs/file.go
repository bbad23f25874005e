package crashfs

import (
	"errors"
	"math/rand/v2"
	"slices"
)

// sector is what a disk writes whole or not at all.
const sector = 512

// inode is a file, by whatever name.
type inode struct {
	data     []byte // as a running process sees it
	durable  []byte // as of the last fsync
	undone   []edit // since then, each within a sector
	reserved int64
}

// edit is a change of what a file holds: some bytes, or where cut is set its
// length.
type edit struct {
	at  int64
	b   []byte
	cut bool
}

func (e edit) apply(to []byte) []byte {
	if e.cut {
		return slices.Clone(to[:min(e.at, int64(len(to)))])
	}
	if end := e.at + int64(len(e.b)); end > int64(len(to)) {
		to = append(to, make([]byte, end-int64(len(to)))...)
	}
	copy(to[e.at:], e.b)
	return to
}

func (n *inode) write(b []byte) {
	at := int64(len(n.data))
	n.data = append(n.data, b...)
	for len(b) > 0 {
		k := min(int64(len(b)), sector-at%sector)
		n.undone = append(n.undone, edit{at: at, b: slices.Clone(b[:k])})
		at, b = at+k, b[k:]
	}
}

// sync makes the edits durable that keep says.
func (n *inode) sync(keep func(i int) bool) {
	for i, e := range n.undone {
		if keep(i) {
			n.durable = e.apply(n.durable)
		}
	}
	n.undone = nil
}

// crash decides what becomes of the edits that no fsync covered.
func (n *inode) crash(rng *rand.Rand) {
	first := rng.IntN(len(n.undone) + 1)
	switch rng.IntN(4) {
	case 0: // all lost
		n.undone = nil
	case 1: // all kept
		n.sync(func(int) bool { return true })
	case 2: // torn
		n.sync(func(i int) bool { return i < first })
	default: // holes
		n.sync(func(int) bool { return rng.IntN(2) == 0 })
	}
}

// handle is an open file.
type handle struct {
	fs     *FS
	name   string
	inode  *inode
	closed bool
}

var errClosed = errors.New("the file is closed")

func (h *handle) begin(op Op) error {
	if h.closed {
		return errClosed
	}
	return h.fs.begin(op, h.name)
}

// Write appends. What doesn't fit is cut, as a full disk does.
func (h *handle) Write(p []byte) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	err := h.begin(OpWrite)
	if errors.Is(err, errMidst) {
		h.inode.write(p[:h.fs.rng.IntN(len(p)+1)])
		return 0, ErrCrashed
	}
	if err != nil {
		return 0, err
	}
	have := max(h.inode.reserved, int64(len(h.inode.data)))
	if err := h.fs.take(int64(len(h.inode.data)+len(p)) - have); err != nil {
		n := int(min(int64(len(p)), max(h.inode.reserved-int64(len(h.inode.data)), 0)+h.fs.free))
		h.inode.write(p[:n])
		h.fs.free = 0
		return n, err
	}
	h.inode.write(p)
	return len(p), nil
}

// Truncate cuts.
func (h *handle) Truncate(size int64) error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	err := h.begin(OpTruncate)
	if err != nil && !errors.Is(err, errMidst) {
		return err
	}
	e := edit{at: size, cut: true}
	h.inode.undone = append(h.inode.undone, e)
	if gone := int64(len(h.inode.data)) - max(size, h.inode.reserved); h.fs.free >= 0 && gone > 0 {
		h.fs.free += gone
	}
	h.inode.data = e.apply(h.inode.data)
	if err != nil {
		return ErrCrashed
	}
	return nil
}

// Reserve takes room.
func (h *handle) Reserve(size int64) error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.begin(OpReserve); err != nil {
		if errors.Is(err, errMidst) {
			return ErrCrashed
		}
		return err
	}
	if h.fs.NoReserve {
		return nil
	}
	have := max(h.inode.reserved, int64(len(h.inode.data)))
	if err := h.fs.take(size - have); err != nil {
		return err
	}
	h.inode.reserved = max(size, h.inode.reserved)
	return nil
}

// Sync makes the file durable. When it fails, some of what was to be is on the
// disk, and the rest never will be, although it can still be read.
func (h *handle) Sync() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	err := h.begin(OpSync)
	switch {
	case errors.Is(err, errMidst):
		return ErrCrashed // some of it, as Crash decides
	case errors.Is(err, ErrCrashed), errors.Is(err, errClosed):
		return err
	case err != nil:
		h.inode.sync(func(int) bool { return h.fs.rng.IntN(2) == 0 })
		return err
	}
	h.inode.sync(func(int) bool { return true })
	return nil
}

// Close closes the handle. It makes nothing durable.
func (h *handle) Close() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	h.closed = true
	return nil
}
