package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// bodyWait is how long a refused request waits for its own upload to end before it counts as not to be sent again.
const bodyWait = 250 * time.Millisecond

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

// replayBody is a request's body that is kept while it is sent, as far as it may be. One attempt reads it at a time.
type replayBody struct {
	src    io.Reader
	max    int64
	budget *budget
	kept   []byte
	taken  int64 // Of the budget.
	lost   bool  // More was read than could be kept.
	err    error // What ended src.
	read   atomic.Int64
	last   *attemptBody

	released atomic.Bool
}

// newReplayBody returns the body of length bytes, -1 if unknown, read from src.
func newReplayBody(src io.Reader, length, most int64, b *budget) *replayBody {
	return &replayBody{src: src, max: most, budget: b, lost: length > most}
}

// mayBeLost reports whether a body of length bytes, -1 if unknown, is or may become too large to be sent again.
func (b *replayBody) mayBeLost(length int64) bool { return b != nil && (b.lost || length < 0) }

// next returns the body for another attempt; false if the last one didn't end in time or the body is lost.
func (b *replayBody) next() (io.ReadCloser, bool) {
	if b.last != nil {
		late := time.NewTimer(bodyWait)
		defer late.Stop()
		select {
		case <-b.last.done:
		case <-late.C:
			return nil, false
		}
		if b.lost {
			return nil, false
		}
	}
	b.last = &attemptBody{body: b, done: make(chan struct{})}
	return b.last, true
}

// failed returns what broke the client's upload, nil if nothing did. The last attempt must have ended, else nil.
func (b *replayBody) failed() error {
	if b == nil || b.last == nil {
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

// release gives the memory back; a read that is under way does so when it returns.
func (b *replayBody) release() {
	if b == nil || b.last == nil {
		return
	}
	b.released.Store(true)
	_ = b.last.Close()
	select {
	case <-b.last.done:
		b.drop()
	default:
	}
}

func (b *replayBody) drop() {
	b.budget.give(b.taken)
	b.kept, b.taken, b.lost = nil, 0, true
}

// readAt reads what an attempt hasn't had yet.
func (b *replayBody) readAt(at *int, p []byte) (int, error) {
	if *at < len(b.kept) {
		n := copy(p, b.kept[*at:])
		*at += n
		return n, nil
	}
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.src.Read(p)
	b.err = err
	b.read.Add(int64(n))
	if n > 0 && !b.lost {
		if int64(len(b.kept)+n) > b.max || !b.budget.take(int64(n)) {
			b.drop()
		} else {
			b.taken += int64(n)
			b.kept = append(b.kept, p[:n]...)
			*at += n
		}
	}
	return n, err
}

// attemptBody is what the transport reads and closes. It never closes the client's body.
type attemptBody struct {
	body *replayBody
	at   int
	done chan struct{} // Closed when it was closed and no Read is under way.

	// mu guards reading and closed.
	mu      sync.Mutex
	reading bool
	closed  bool
}

// Read implements io.Reader.
func (a *attemptBody) Read(p []byte) (int, error) {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return 0, http.ErrBodyReadAfterClose
	}
	a.reading = true
	a.mu.Unlock()
	n, err := a.body.readAt(&a.at, p)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reading = false
	if a.closed {
		if a.body.released.Load() {
			a.body.drop()
		}
		close(a.done)
	}
	return n, err
}

// Close implements io.Closer.
func (a *attemptBody) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		a.closed = true
		if !a.reading {
			close(a.done)
		}
	}
	return nil
}
