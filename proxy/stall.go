package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport/sallyport/proxy/access"
)

// stallTimeout is how long a client may send nothing of a body that it announced, and take nothing of an answer.
const stallTimeout = time.Minute

var errUploadStalled = &access.RefusalError{Code: access.BadRequest,
	Message: "nothing of the request's body came for too long, and it was given up: whether Salesforce acted on a part is not known"}

// stall bounds the reads of a request's body, or the writes of its answer, one at a time: one that makes no progress in
// time fails. Time between them doesn't count: it is Salesforce's. It is safe for one goroutine beside its timer's.
type stall struct {
	timer *time.Timer
	limit time.Duration
	read  bool

	// mu guards the fields below.
	mu    sync.Mutex
	w     http.ResponseWriter // Nil between reads and writes.
	until time.Time
	fired bool
	spent bool // It is never begun again.
}

var stalls = sync.Pool{New: func() any { return new(stall) }}

// begin starts the clock of one read or write of w's connection or stream.
func (s *stall) begin(w http.ResponseWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spent {
		return
	}
	s.w, s.until = w, time.Now().Add(s.limit)
	if s.timer == nil {
		s.timer = time.AfterFunc(s.limit, s.fire)
	} else {
		s.timer.Reset(s.limit)
	}
}

// forget keeps s from looking at its w from now on. A stream of HTTP/2 has none any more once its handler returned.
func (s *stall) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.w, s.spent = nil, true
}

// end stops it and reports whether it had run out.
func (s *stall) end() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
	s.w = nil
	return s.fired
}

func (s *stall) fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.w == nil || time.Now().Before(s.until) { // It ended just now, and another may have begun.
		return
	}
	s.fired = true
	control := http.NewResponseController(s.w)
	if s.read {
		_ = control.SetReadDeadline(time.Unix(1, 0)) // Of a closed connection the read tells.
	} else {
		_ = control.SetWriteDeadline(time.Unix(1, 0))
	}
}

// upload is a request's body whose client must not stall.
type upload struct {
	io.ReadCloser
	w     http.ResponseWriter
	stall stall
	// patient says that the next Read may take any time. It is the reader's.
	patient bool
}

func newUpload(body io.ReadCloser, w http.ResponseWriter, limit time.Duration) *upload {
	return &upload{ReadCloser: body, w: w, stall: stall{limit: limit, read: true}}
}

// Read implements io.Reader. It fails with errUploadStalled.
func (u *upload) Read(p []byte) (int, error) {
	if u.patient {
		return u.ReadCloser.Read(p)
	}
	u.stall.begin(u.w)
	n, err := u.ReadCloser.Read(p)
	if u.stall.end() && !errors.Is(err, io.EOF) {
		return 0, errUploadStalled
	}
	return n, err
}
