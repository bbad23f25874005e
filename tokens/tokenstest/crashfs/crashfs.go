// Package crashfs is a file system in memory that loses power on demand. What
// wasn't fsynced is lost at a crash, kept, torn, or kept with holes, as a seed
// decides; names that no fsync of their directory covered come and go. It fails
// as it is told, and it can be full. It stands under a journal in tests.
package crashfs

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/sallyport/sallyport/tokens/journal"
)

// ErrCrashed is what every operation returns once the machine is down.
var ErrCrashed = errors.New("the machine has crashed")

// Op names an operation, for [FS.Fail].
type Op string

// The operations. Those that change something count for [FS.CrashAfter].
const (
	OpRead     Op = "read"
	OpCreate   Op = "create"
	OpRename   Op = "rename"
	OpRemove   Op = "remove"
	OpSyncDir  Op = "syncdir"
	OpWrite    Op = "write"
	OpTruncate Op = "truncate"
	OpReserve  Op = "reserve"
	OpSync     Op = "sync"
)

// FS is a [journal.FS]. It is safe for concurrent use. Directories need not be
// made and none is kept.
type FS struct {
	// mu guards all below.
	mu      sync.Mutex
	rng     *rand.Rand
	names   map[string]*inode // as a running process sees them
	durable map[string]*inode // as they are after a crash
	undone  []nameOp          // of names, since the last fsync of the directory
	locks   map[string]bool
	ops     int
	crashAt int // 0: never
	down    bool
	free    int64 // bytes; negative: without end
	fail    func(Op, string) error

	// IsEphemeral is what [FS.Ephemeral] says. Set it before the first use.
	IsEphemeral bool
	// NoReserve lets Reserve do nothing, as where there is no fallocate. Set it
	// before the first use.
	NoReserve bool
}

var _ journal.FS = (*FS)(nil)

// nameOp is a change of names.
type nameOp func(map[string]*inode)

// New returns an empty file system without end.
func New(seed uint64) *FS {
	return &FS{
		rng: rand.New(rand.NewPCG(seed, 0)), names: map[string]*inode{}, durable: map[string]*inode{},
		locks: map[string]bool{}, free: -1,
	}
}

// CrashAfter lets n more changing operations happen. The machine goes down in
// the midst of the next one.
func (f *FS) CrashAfter(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.crashAt = f.ops + n + 1
}

// Ops counts the changing operations so far.
func (f *FS) Ops() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ops
}

// Fail asks fail before each operation; an error that it returns is what the
// operation returns. A failed Sync has dropped what was to be synced, as Linux
// does. It is called with a lock held and must not call f.
func (f *FS) Fail(fail func(op Op, name string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

// SetFree says how many bytes there is room for; negative: without end.
func (f *FS) SetFree(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.free = n
}

// Names lists the files, sorted.
func (f *FS) Names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.names))
}

// Corrupt lets change alter what a file holds, on the disk too.
func (f *FS) Corrupt(name string, change func([]byte) []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.names[name]
	n.data = change(n.data)
	n.durable, n.undone = slices.Clone(n.data), nil
}

// Crash returns the file system as the machine finds it after a loss of power.
// f is down.
func (f *FS) Crash() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = true
	for _, op := range f.undone[:f.rng.IntN(len(f.undone)+1)] {
		op(f.durable)
	}
	g := New(f.rng.Uint64())
	g.free, g.IsEphemeral, g.NoReserve = f.free, f.IsEphemeral, f.NoReserve
	for _, name := range slices.Sorted(maps.Keys(f.durable)) { // in an order, for the seed's sake
		n := f.durable[name]
		n.crash(f.rng)
		m := &inode{data: slices.Clone(n.durable), durable: n.durable}
		g.names[name], g.durable[name] = m, m
	}
	return g
}

// Kill returns the file system as the next process finds it after this one was
// killed: nothing is lost, and nothing more is durable than before. f is down.
func (f *FS) Kill() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = true
	g := New(f.rng.Uint64())
	g.free, g.IsEphemeral, g.NoReserve = f.free, f.IsEphemeral, f.NoReserve
	g.names, g.durable, g.undone = f.names, f.durable, f.undone
	return g
}

// begin is called with f.mu held.
func (f *FS) begin(op Op, name string) error {
	if op != OpRead {
		f.ops++
		if f.ops == f.crashAt {
			f.down = true
			return errMidst
		}
	}
	if f.down {
		return ErrCrashed
	}
	if f.fail != nil {
		return f.fail(op, name)
	}
	return nil
}

// errMidst says that the machine goes down in this very operation.
var errMidst = errors.New("in the midst")

// change does a change of names, or perhaps does it, when the crash comes in
// its midst.
func (f *FS) change(op Op, name string, do nameOp) error {
	err := f.begin(op, name)
	if err != nil && !errors.Is(err, errMidst) {
		return err
	}
	f.undone = append(f.undone, do)
	do(f.names)
	if err != nil {
		return ErrCrashed
	}
	return nil
}

// Mkdir does nothing.
func (f *FS) Mkdir(string) error { return nil }

// List implements [journal.FS].
func (f *FS) List(dir string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin(OpRead, dir); err != nil {
		return nil, err
	}
	var names []string
	for name := range f.names {
		if rest, ok := strings.CutPrefix(name, filepath.Clean(dir)+string(filepath.Separator)); ok {
			names = append(names, rest)
		}
	}
	return names, nil
}

// Read implements [journal.FS].
func (f *FS) Read(name string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin(OpRead, name); err != nil {
		return nil, err
	}
	n := f.names[name]
	if n == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return slices.Clone(n.data), nil
}

// Create implements [journal.FS].
func (f *FS) Create(name string) (journal.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.names[name] != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
	}
	n := new(inode)
	if err := f.change(OpCreate, name, func(m map[string]*inode) { m[name] = n }); err != nil {
		return nil, err
	}
	return &handle{fs: f, name: name, inode: n}, nil
}

// Rename implements [journal.FS].
func (f *FS) Rename(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.names[from]
	if n == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	return f.change(OpRename, to, func(m map[string]*inode) { delete(m, from); m[to] = n })
}

// Remove implements [journal.FS].
func (f *FS) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.names[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	return f.change(OpRemove, name, func(m map[string]*inode) { delete(m, name) })
}

// SyncDir implements [journal.FS].
func (f *FS) SyncDir(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.begin(OpSyncDir, dir)
	if errors.Is(err, errMidst) {
		return ErrCrashed // some of it, as Crash decides
	}
	if errors.Is(err, ErrCrashed) {
		return err
	}
	n := len(f.undone)
	if err != nil {
		n = f.rng.IntN(n + 1)
	}
	for _, op := range f.undone[:n] {
		op(f.durable)
	}
	f.undone = nil
	return err
}

// Lock implements [journal.FS].
func (f *FS) Lock(name string) (io.Closer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.locks[name] {
		return nil, &journal.LockedError{Path: name}
	}
	f.locks[name] = true
	return unlock(func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.locks, name)
		return nil
	}), nil
}

type unlock func() error

func (u unlock) Close() error { return u() }

// Ephemeral implements [journal.FS].
func (f *FS) Ephemeral(string) (bool, error) { return f.IsEphemeral, nil }

// take is called with f.mu held. It makes room for n more bytes.
func (f *FS) take(n int64) error {
	if f.free < 0 || n <= 0 {
		return nil
	}
	if n > f.free {
		return syscall.ENOSPC
	}
	f.free -= n
	return nil
}
