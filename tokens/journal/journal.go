package journal

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/sallyport/sallyport/tokens"
)

// DefaultCompactAbove is the size in bytes below which a journal isn't
// compacted.
const DefaultCompactAbove = 1 << 20

// room is what Begin reserves for an answer, in bytes. An answer takes four
// thirds of its length, and some more.
const room = 64 << 10

// Options of a journal.
type Options struct {
	// Dir is made, 0700, where it isn't there. Required.
	Dir string
	// Sealer seals the answers. Required.
	Sealer tokens.Sealer
	// FS is what the directory is in; nil: the operating system's.
	FS FS
	// Logger is told of torn tails and failed compactions; nil: nobody is.
	Logger *slog.Logger
	// CompactAbove is the size in bytes above which a file of which more than
	// half is dead is written anew; 0: [DefaultCompactAbove].
	CompactAbove int64
}

// Journal is a tokens.Journal in a directory. It is safe for concurrent use.
type Journal struct {
	dir          string
	fs           FS
	sealer       tokens.Sealer
	log          *slog.Logger
	compactAbove int64
	replica      string
	ephemeral    bool
	lock         io.Closer
	damage       []error // found at the start

	// io is held by whoever writes. It guards what stands below it.
	io      sync.Mutex
	out     *output                       // nil: the next write makes a file
	last    end                           // of the file before the one that the next write makes
	top     int64                         // the greatest number of a file
	unsure  []line                        // settles that no fsync has covered yet
	waiting map[tokens.AttemptID]struct{} // begun here, room reserved
	check   int64                         // the size at which to see whether to compact

	// mu is taken after io, never before it, and held for no I/O. It guards
	// what stands below it.
	mu       sync.Mutex
	index    index
	next     *batch // what is to be written next
	degraded bool
	closed   bool
}

var _ tokens.Journal = (*Journal)(nil)

// Open opens the journal in a directory, and makes it where there is none. It
// fails with a [*LockedError] while another process has it, with a
// [*FormatError] where a newer sallyport wrote it, and where the directory
// can't be read or is open to others. A full or damaged disk doesn't fail it:
// what is there can still be read, and [Journal.Begin] says what is wrong.
func Open(o Options) (*Journal, error) {
	if o.Dir == "" || o.Sealer == nil {
		return nil, errors.New("journal: Options needs Dir and Sealer")
	}
	j := &Journal{
		dir: o.Dir, fs: o.FS, sealer: o.Sealer, log: o.Logger, compactAbove: o.CompactAbove,
		waiting: make(map[tokens.AttemptID]struct{}),
	}
	if j.fs == nil {
		j.fs = osFS{}
	}
	if j.log == nil {
		j.log = slog.New(slog.DiscardHandler)
	}
	if j.compactAbove <= 0 {
		j.compactAbove = DefaultCompactAbove
	}
	if err := j.fs.Mkdir(o.Dir); err != nil {
		return nil, fmt.Errorf("journal: make the directory: %w", err)
	}
	lock, err := j.fs.Lock(filepath.Join(o.Dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j.lock = lock
	if err := j.start(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return j, nil
}

func (j *Journal) start() error {
	l, err := load(j.fs, j.dir)
	if err != nil {
		return fmt.Errorf("journal: read: %w", err)
	}
	if j.replica, err = j.replicaID(l.replica); err != nil {
		return fmt.Errorf("journal: replica id: %w", err)
	}
	if j.ephemeral, err = j.fs.Ephemeral(j.dir); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if l.torn > 0 {
		j.log.Warn("dropped a torn tail of the journal, which was promised to nobody", "bytes", l.torn)
	}
	j.io.Lock()
	defer j.io.Unlock()
	j.index, j.last, j.top, j.damage = l.index, l.last, l.top, l.damage
	j.check = j.compactAbove
	if len(j.damage) > 0 {
		// The damaged files stay for a person to look at.
		j.degraded = true
		j.log.Error("the journal is damaged", "error", errors.Join(j.damage...))
		return nil
	}
	if err := j.compact(j.index.order); err != nil {
		// Perhaps the disk is full. All is readable, and the next write tries.
		j.log.Warn("the journal was not written anew at the start", "error", err)
		return nil
	}
	for _, name := range l.stray {
		if err := j.fs.Remove(name); err != nil {
			j.log.Warn("an unfinished journal file stays", "error", err)
		}
	}
	return nil
}

// Replica is the random id of this disk.
func (j *Journal) Replica() string { return j.replica }

// Ephemeral reports whether the journal is on a file system that goes with the
// machine or the container (tmpfs, ramfs, overlayfs), so that the store must
// keep a copy of each answer.
func (j *Journal) Ephemeral() bool { return j.ephemeral }

// Degraded reports whether the disk has failed, or the journal was found
// damaged, so that [Journal.Begin] refuses until the next start.
func (j *Journal) Degraded() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.degraded
}

// Pending counts the unsettled entries that hold an answer or an imported
// token: what the store may not have yet.
func (j *Journal) Pending() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.index.pending()
}

// Begin implements [tokens.Journal]. An empty Replica becomes the journal's
// own. It fails with a [*DiskError] that says whether the disk is full, which
// leaves nothing behind, or has failed; with [tokens.ErrDegraded] where it had
// failed before; and with [ErrClosed].
func (j *Journal) Begin(e tokens.Entry) error {
	if e.Attempt == "" || e.Org == "" {
		return errors.New("journal: an entry needs an attempt and an org")
	}
	if e.Replica == "" {
		e.Replica = j.replica
	}
	return j.submit(beginLine(e))
}

// Answer implements [tokens.Journal]. The same answer may come again; another
// one is refused with [ErrAnswered], an attempt that wasn't begun here with
// [ErrUnknownAttempt]. An empty answer is nothing to keep. A [*DiskError] means
// that the answer isn't durable here: commit it to the store at once.
func (j *Journal) Answer(id tokens.AttemptID, a tokens.Answer) error {
	if len(a) == 0 {
		return nil
	}
	j.mu.Lock()
	e := j.index.byID[id]
	if e == nil {
		j.mu.Unlock()
		return fmt.Errorf("attempt %s: %w", id, ErrUnknownAttempt)
	}
	old, org := e.sealed, string(e.begin.Org)
	j.mu.Unlock()
	if old != nil {
		plain, err := j.sealer.Open(old, org, tokens.FieldAnswer)
		if err == nil && string(plain) == string(a) {
			return nil
		}
		return fmt.Errorf("org %s, attempt %s: %w", org, id, ErrAnswered)
	}
	sealed, err := j.sealer.Seal(a, org, tokens.FieldAnswer)
	if err != nil {
		return fmt.Errorf("journal: seal the answer of org %s: %w", org, err)
	}
	j.mu.Lock()
	l := e.answer(sealed)
	j.mu.Unlock()
	return j.submit(l)
}

// Settle implements [tokens.Journal]. It returns once the mark is written, in
// order with all other writes; the next fsync, or Close, makes it durable. An
// attempt that isn't kept any more is settled already.
func (j *Journal) Settle(id tokens.AttemptID, o tokens.Outcome) error {
	j.mu.Lock()
	e := j.index.byID[id]
	done := e == nil || e.settled && e.outcome == o
	j.mu.Unlock()
	if done {
		return nil
	}
	return j.submit(settleLine(id, o))
}

// Entries implements [tokens.Journal]: what is kept at the moment of the call.
// An answer that doesn't open comes as its entry, without the answer, and an
// error. Damage that was found at the start comes last, as [*CorruptError]s
// without an entry.
func (j *Journal) Entries() iter.Seq2[tokens.Entry, error] {
	j.mu.Lock()
	kept := make([]entry, len(j.index.order))
	for i, e := range j.index.order {
		kept[i] = *e
	}
	j.mu.Unlock()
	return func(yield func(tokens.Entry, error) bool) {
		for _, e := range kept {
			if !yield(j.entry(e)) {
				return
			}
		}
		for _, err := range j.damage {
			if !yield(tokens.Entry{}, err) {
				return
			}
		}
	}
}

func (j *Journal) entry(e entry) (tokens.Entry, error) {
	b := e.begin
	out := tokens.Entry{
		Attempt: b.Attempt, Org: b.Org, Replica: b.Replica, Deployment: b.Deployment, Kind: b.Kind, Base: b.Base,
		Identity: b.Identity, Settled: e.settled, Outcome: e.outcome,
	}
	if b.Record != nil {
		out.Record = *b.Record
	}
	if e.sealed == nil {
		return out, nil
	}
	plain, err := j.sealer.Open(e.sealed, string(b.Org), tokens.FieldAnswer)
	if err != nil {
		return out, fmt.Errorf("journal: open the answer of attempt %s: %w", b.Attempt, err)
	}
	out.Answer = plain
	return out, nil
}

// Close makes the last marks durable and lets another process open the journal.
// Calls after it fail with [ErrClosed].
func (j *Journal) Close() error {
	j.io.Lock()
	defer j.io.Unlock()
	j.mu.Lock()
	closed := j.closed
	j.closed = true
	j.mu.Unlock()
	if closed {
		return nil
	}
	var err error
	if j.out != nil {
		if len(j.unsure) > 0 {
			err = j.out.file.Sync()
		}
		err = errors.Join(err, j.out.file.Close())
		j.out = nil
	}
	return errors.Join(err, j.lock.Close())
}
