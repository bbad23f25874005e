package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/http/httpguts"
)

// lane carries the requests that are most: GET and HEAD without a body. It writes and reads on the caller's goroutine,
// where [http.Transport] hands each request to two others, which costs as much CPU as all the rest of a small request.
// What else a request may ask for it leaves to the transport, by http.ErrSkipAltProtocol. It has connections of its
// own, from the same source address. It is safe for concurrent use.
type lane struct {
	egress *Egress
	source netip.Addr

	// mu guards the fields below.
	mu     sync.Mutex
	idle   map[string][]*laneConn // By host:port, the one used last at the end.
	kept   int                    // In idle.
	closes bool                   // Nothing is kept until the next request.
	sweeps bool                   // A timer is under way that closes what idles too long.
}

// takes reports whether r is plain enough. On Windows none is: a socket can't be read there without waiting.
func (l *lane) takes(r *http.Request) bool {
	if runtime.GOOS == "windows" || r.Method != http.MethodGet && r.Method != http.MethodHead || r.Body != nil && r.Body != http.NoBody ||
		r.ContentLength != 0 || len(r.TransferEncoding) > 0 || len(r.Trailer) > 0 || r.Close || r.URL.Host == "" ||
		httptrace.ContextClientTrace(r.Context()) != nil {
		return false
	}
	for name, values := range r.Header {
		switch name {
		case "Connection", "Expect", "Upgrade", "Transfer-Encoding", "Trailer", "Content-Length":
			return false
		}
		// The transport refuses what isn't valid, and says why.
		if !httpguts.ValidHeaderFieldName(name) || !allOf(values, httpguts.ValidHeaderFieldValue) {
			return false
		}
	}
	return true
}

func allOf(values []string, valid func(string) bool) bool {
	return !slices.ContainsFunc(values, func(v string) bool { return !valid(v) })
}

// RoundTrip implements http.RoundTripper. A request that a kept-alive connection swallowed without a byte of an answer
// is sent once more, on a new one: GET and HEAD may be (RFC 9110, section 9.2.2).
func (l *lane) RoundTrip(r *http.Request) (*http.Response, error) {
	if !l.takes(r) {
		return nil, http.ErrSkipAltProtocol
	}
	ctx := r.Context()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	addr := r.URL.Host
	if r.URL.Port() == "" {
		addr = net.JoinHostPort(r.URL.Hostname(), "443")
	}
	if c := l.take(addr); c != nil {
		resp, err := c.roundTrip(r)
		if err == nil || c.heard || isTimeout(err) || ctx.Err() != nil {
			return resp, err
		}
	}
	c, err := l.dial(ctx, addr)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	return c.roundTrip(r)
}

func (l *lane) dial(ctx context.Context, addr string) (*laneConn, error) {
	c := &laneConn{lane: l, addr: addr}
	conn, err := l.egress.dialHTTP(ctx, l.source, addr, l.egress.tls[l.source], func(tcp *net.TCPConn, leave func()) (net.Conn, error) {
		raw, err := tcp.SyscallConn()
		c.sock = &laneSocket{TCPConn: tcp, raw: raw, leave: leave}
		return c.sock, err
	})
	if err != nil {
		return nil, err
	}
	c.conn = conn
	c.br = bufio.NewReaderSize(c, laneBuffer) // Larger reads pass it by.
	return c, nil
}

// take returns a kept connection to addr that is still good, nil if there is none.
func (l *lane) take(addr string) *laneConn {
	for {
		l.mu.Lock()
		l.closes = false
		conns := l.idle[addr]
		if len(conns) == 0 {
			l.mu.Unlock()
			return nil
		}
		c := conns[len(conns)-1]
		conns[len(conns)-1] = nil
		l.idle[addr] = conns[:len(conns)-1]
		l.kept--
		l.mu.Unlock()
		if c.good() {
			return c
		}
		_ = c.sock.Close()
	}
}

// put keeps c for the next request, or closes it.
func (l *lane) put(c *laneConn) {
	o := &l.egress.opts
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closes || len(l.idle[c.addr]) >= o.MaxIdlePerHost || l.kept >= o.MaxIdle {
		_ = c.sock.Close()
		return
	}
	c.since = time.Now()
	l.idle[c.addr] = append(l.idle[c.addr], c)
	l.kept++
	if !l.sweeps {
		l.sweeps = true
		time.AfterFunc(o.IdleTimeout, l.sweep)
	}
}

// CloseIdleConnections closes what is kept, and what would be until there is another request.
func (l *lane) CloseIdleConnections() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conns := range l.idle {
		for _, c := range conns {
			_ = c.sock.Close()
		}
	}
	clear(l.idle)
	l.kept, l.closes = 0, true
}

// sweep closes what idled too long, and comes again while anything is kept.
func (l *lane) sweep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	limit := l.egress.opts.IdleTimeout
	now := time.Now()
	for addr, conns := range l.idle {
		old := 0
		for old < len(conns) && now.Sub(conns[old].since) >= limit {
			_ = conns[old].sock.Close()
			old++
		}
		l.kept -= old
		if l.idle[addr] = slices.Delete(conns, 0, old); len(l.idle[addr]) == 0 {
			delete(l.idle, addr)
		}
	}
	if l.sweeps = l.kept > 0; l.sweeps {
		time.AfterFunc(limit/4+time.Millisecond, l.sweep)
	}
}

// laneConn is a connection of a lane. It serves one request at a time.
type laneConn struct {
	lane  *lane
	addr  string
	sock  *laneSocket // Below TLS.
	conn  *tls.Conn
	br    *bufio.Reader // Reads from the laneConn.
	left  int64         // How many bytes may still be read.
	heard bool          // A byte of the answer under way was read.
	since time.Time
	one   [1]byte
}

// Read implements io.Reader, up to the limit of a header.
func (c *laneConn) Read(b []byte) (int, error) {
	if c.left <= 0 {
		return 0, fmt.Errorf("the answer's header is larger than %d bytes", maxResponseHeader)
	}
	if int64(len(b)) > c.left {
		b = b[:c.left]
	}
	n, err := c.conn.Read(b)
	c.left -= int64(n)
	c.heard = c.heard || n > 0
	return n, err
}

// good reports whether the peer neither closed c nor said anything unasked while it was kept.
func (c *laneConn) good() bool {
	c.sock.now = true
	_, err := c.conn.Read(c.one[:])
	c.sock.now = false
	return errors.Is(err, errNothing) && c.br.Buffered() == 0
}

func (c *laneConn) roundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	stop := func() bool { return true }
	if ctx.Done() != nil {
		stop = context.AfterFunc(ctx, func() { _ = c.sock.Close() })
	}
	resp, err := c.exchange(r)
	if err != nil {
		stop()
		_ = c.sock.Close()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("no answer from %s: %w", c.addr, err)
	}
	b := &laneBody{body: resp.Body, conn: c, cause: func() error { return context.Cause(ctx) }, stop: stop, keep: !resp.Close}
	if resp.Body == http.NoBody {
		b.end(b.keep)
		return resp, nil
	}
	resp.Body = b
	return resp, nil
}

// exchange sends r and reads the head of its answer.
func (c *laneConn) exchange(r *http.Request) (*http.Response, error) {
	c.heard, c.left = false, maxResponseHeader
	if err := c.send(r); err != nil {
		return nil, err
	}
	if err := c.conn.SetReadDeadline(time.Now().Add(c.lane.egress.opts.UpstreamTimeout)); err != nil {
		return nil, err
	}
	for range maxInformational + 1 {
		resp, err := http.ReadResponse(c.br, r)
		if err != nil {
			return nil, err
		}
		switch {
		case resp.StatusCode == http.StatusSwitchingProtocols:
			return nil, errors.New("it switched protocols unasked")
		case resp.StatusCode >= http.StatusOK:
			c.left = math.MaxInt64
			return resp, c.conn.SetReadDeadline(time.Time{})
		}
	}
	return nil, errors.New("too many informational answers")
}

// writers hold a request's head while it is written: kept connections need none.
var writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, laneBuffer) }}

func (c *laneConn) send(r *http.Request) error {
	w := writers.Get().(*bufio.Writer)
	defer writers.Put(w)
	defer w.Reset(nil) // It keeps neither the connection nor an error.
	w.Reset(c.conn)
	if err := r.Write(w); err != nil {
		return err
	}
	return w.Flush()
}

// laneBody is the body of an answer, whose end gives the connection back. It is for one goroutine.
type laneBody struct {
	body  io.ReadCloser
	conn  *laneConn    // Nil when it was given back or closed.
	cause func() error // Why the request was given up, nil if it wasn't.
	stop  func() bool  // Ends the watch over ctx; false: it has closed the connection.
	keep  bool
	over  error // What Read returns once conn is nil.
}

// Read implements io.Reader.
func (b *laneBody) Read(p []byte) (int, error) {
	if b.conn == nil {
		return 0, b.over
	}
	n, err := b.body.Read(p)
	b.over = err
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		b.end(b.keep)
	default:
		b.end(false)
		if cause := b.cause(); cause != nil {
			err = cause
		}
	}
	return n, err
}

// Close implements io.Closer. What wasn't read to its end is cut: it may be endless.
func (b *laneBody) Close() error {
	if b.conn != nil {
		b.over = http.ErrBodyReadAfterClose
		b.end(false)
	}
	return nil
}

func (b *laneBody) end(keep bool) {
	c := b.conn
	if c == nil {
		return
	}
	b.conn = nil
	if b.stop() && keep && c.br.Buffered() == 0 {
		c.lane.put(c)
		return
	}
	_ = c.sock.Close()
}

// errNothing is what a laneSocket reads when nothing came.
var errNothing net.Error = nothing{}

type nothing struct{}

// Error implements error.
func (nothing) Error() string { return "nothing to read" }

// Timeout implements net.Error.
func (nothing) Timeout() bool { return true }

// Temporary implements net.Error; crypto/tls takes any other error for the connection's end.
func (nothing) Temporary() bool { return true }

// laneSocket is a TCP connection that can be asked whether the peer said anything, without waiting for it.
type laneSocket struct {
	*net.TCPConn
	raw   syscall.RawConn
	leave func() // Ends the counting.
	now   bool   // Read doesn't wait. Used by the reader only.
}

// Close implements net.Conn.
func (s *laneSocket) Close() error {
	s.leave()
	return s.TCPConn.Close()
}

// readDescriptor calls read with fd as the system's own type.
func readDescriptor[F ~int | ~uintptr](read func(F, []byte) (int, error), fd uintptr, b []byte) (int, error) {
	return read(F(fd), b)
}

// Read implements net.Conn.
func (s *laneSocket) Read(b []byte) (n int, err error) {
	if !s.now {
		return s.TCPConn.Read(b)
	}
	rawErr := s.raw.Read(func(fd uintptr) bool {
		n, err = readDescriptor(syscall.Read, fd, b)
		return true
	})
	switch {
	case rawErr != nil:
		return 0, rawErr
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		return 0, errNothing
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	// Whatever it is, nobody asked for it.
	return 0, io.ErrUnexpectedEOF
}
