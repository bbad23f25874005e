package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// bodyWait is how long a refused request waits for its own upload to end, which spares the connection, before the
// upload is cut off.
const bodyWait = 250 * time.Millisecond

// fetched is how much is read at a time by a body's own goroutine.
const fetched = 16 << 10

var errNoReplay = errors.New("the request's body can't be sent again")

// budget is memory that many share. It is safe for concurrent use.
type budget struct {
	limit int64
	used  atomic.Int64
}

func (b *budget) take(n int64) bool {
	if b.used.Add(n) > b.limit {
		b.used.Add(-n)
		return false
	}
	return true
}

func (b *budget) give(n int64) { b.used.Add(-n) }

// replayBody is a request's body that is kept while it is sent, as far as it may be. Attempts read it one after the
// other; a Read of the client that one of them began serves the next.
type replayBody struct {
	src    io.Reader
	max    int64
	budget *budget
	// apart has src read by a goroutine of its own, so that an attempt's Read ends with the attempt: HTTP/2 doesn't say that
	// a connection was lost while a Read waits for a client that has nothing to send.
	apart bool
	read  atomic.Int64

	// mu guards the fields below.
	mu       sync.Mutex
	kept     []byte
	fresh    []byte        // What was read last, if apart.
	taken    int64         // Of the budget.
	lost     bool          // More was read than could be kept.
	err      error         // What ended src.
	reading  bool          // Some attempt reads from src.
	idle     chan struct{} // Closed when it no longer does; nil where nobody waits for that.
	last     *attemptBody
	settled  bool // No other attempt follows: nothing is kept that the last one has had.
	released bool
}

// newReplayBody returns the body of length bytes, -1 if unknown, read from src.
func newReplayBody(src io.Reader, length, most int64, b *budget) *replayBody {
	return &replayBody{src: src, max: most, budget: b, lost: length > most}
}

// mayBeLost reports whether a body of length bytes, -1 if unknown, is or may become too large to be sent again.
func (b *replayBody) mayBeLost(length int64) bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lost || length < 0
}

// next returns the body for another attempt, which ends the last one; false if the body is lost.
func (b *replayBody) next() (io.ReadCloser, bool) {
	b.mu.Lock()
	last, lost := b.last, b.lost
	b.mu.Unlock()
	if last != nil {
		if lost {
			return nil, false
		}
		late := time.NewTimer(bodyWait)
		defer late.Stop()
		select {
		case <-last.done:
		case <-late.C: // Its Read may wait for the client for long: what that brings is the next one's.
			_ = last.Close()
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if last != nil && b.lost {
		return nil, false
	}
	b.last = &attemptBody{body: b, closed: make(chan struct{}), done: make(chan struct{})}
	return b.last, true
}

// failed returns what broke the client's upload, nil if nothing did. The last attempt must have ended, else nil.
func (b *replayBody) failed() error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last == nil {
		return nil
	}
	select {
	case <-b.last.done:
		if b.err != nil && !errors.Is(b.err, io.EOF) {
			return b.err
		}
	default:
	}
	return nil
}

// settle says that no other attempt follows, so that a stream keeps no memory for one.
func (b *replayBody) settle() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settled = true
	if b.last.at == b.read.Load() && !b.reading {
		b.drop()
	}
}

// release gives the memory back; a read that is under way does so when it returns.
func (b *replayBody) release() {
	if b == nil {
		return
	}
	b.mu.Lock()
	last := b.last
	b.released = true
	if !b.reading {
		b.drop()
	}
	b.mu.Unlock()
	if last != nil {
		_ = last.Close()
	}
}

// drop forgets what was kept. The caller holds mu.
func (b *replayBody) drop() {
	b.budget.give(b.taken)
	b.kept, b.taken, b.lost = nil, 0, true
}

// readAt reads what an attempt hasn't had yet. It waits for a Read that an earlier attempt began, until closed.
func (b *replayBody) readAt(at *int64, p []byte, closed <-chan struct{}) (int, error) {
	for {
		b.mu.Lock()
		switch {
		case *at < int64(len(b.kept)):
			n := copy(p, b.kept[*at:])
			*at += int64(n)
			b.mu.Unlock()
			return n, nil
		case *at < b.read.Load() && *at >= b.read.Load()-int64(len(b.fresh)):
			n := copy(p, b.fresh[int64(len(b.fresh))-(b.read.Load()-*at):])
			*at += int64(n)
			b.mu.Unlock()
			return n, nil
		case *at < b.read.Load():
			b.mu.Unlock()
			return 0, errNoReplay // What came meanwhile was too much to keep.
		case b.err != nil:
			err := b.err
			b.mu.Unlock()
			return 0, err
		case !b.reading && b.apart:
			b.reading = true
			go b.fetch(b.fresh[:cap(b.fresh)]) // Ends when the client sends on, or with its stream.
			b.fresh = nil
		case !b.reading:
			b.reading = true
			b.mu.Unlock()
			return b.readOn(at, p)
		}
		if b.idle == nil {
			b.idle = make(chan struct{})
		}
		idle := b.idle
		b.mu.Unlock()
		select {
		case <-idle:
		case <-closed:
			return 0, http.ErrBodyReadAfterClose
		}
	}
}

// readOn reads from the client, for the one attempt that set reading.
func (b *replayBody) readOn(at *int64, p []byte) (int, error) {
	n, err := b.src.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got(p[:n], err, at == &b.last.at)
	*at += int64(n)
	return n, err
}

// fetch reads from the client into buf, for whichever attempt comes for it.
func (b *replayBody) fetch(buf []byte) {
	if len(buf) == 0 {
		buf = make([]byte, fetched)
	}
	n, err := b.src.Read(buf)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fresh = buf[:n]
	b.got(buf[:n], err, b.last.at == b.read.Load())
}

// got keeps what was read, as far as it may be and somebody needs it: not when given, of the last attempt. The caller holds mu.
func (b *replayBody) got(p []byte, err error, given bool) {
	b.err = err
	b.read.Add(int64(len(p)))
	if len(p) > 0 && !b.lost {
		if b.settled && given || int64(len(b.kept)+len(p)) > b.max || !b.budget.take(int64(len(p))) {
			b.drop()
		} else {
			b.taken += int64(len(p))
			b.kept = append(b.kept, p...)
		}
	}
	if b.released {
		b.drop()
	}
	b.reading = false
	if b.idle != nil {
		close(b.idle)
		b.idle = nil
	}
}

// attemptBody is what the transport reads and closes. It never closes the client's body.
type attemptBody struct {
	body   *replayBody
	at     int64         // Guarded by the mu of body.
	closed chan struct{} // Closed by Close.
	done   chan struct{} // Closed when it was closed and no Read is under way.

	// mu guards reading and shut.
	mu      sync.Mutex
	reading bool
	shut    bool
}

// Read implements io.Reader.
func (a *attemptBody) Read(p []byte) (int, error) {
	a.mu.Lock()
	if a.shut {
		a.mu.Unlock()
		return 0, http.ErrBodyReadAfterClose
	}
	a.reading = true
	a.mu.Unlock()
	n, err := a.body.readAt(&a.at, p, a.closed)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reading = false
	if a.shut {
		close(a.done)
	}
	return n, err
}

// Close implements io.Closer.
func (a *attemptBody) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.shut {
		a.shut = true
		close(a.closed)
		if !a.reading {
			close(a.done)
		}
	}
	return nil
}
