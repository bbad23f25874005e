package proxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// watchAfter is how long a request of a lane runs before its client is watched for going away.
const watchAfter = 50 * time.Millisecond

// What a lane does, for the drain.
const (
	laneNew int32 = iota // Before its first request.
	laneIdle
	laneBusy
	laneClosed
)

// lane serves an intercepted HTTP/1.1 connection as long as its requests are plain (parsePlain), and hands it to
// net/http, bytes intact, at the first that isn't. It judges, forwards and records by the same [call] as net/http's
// handler does; what it saves is net/http's goroutines, copies and system calls, half the cost of a small request, and
// while it idles it keeps no buffer.
type lane struct {
	server *Server
	tunnel *tunnel
	conn   *innerConn
	base   *http.Request // Has the context, which ends when the client goes away.
	cancel context.CancelFunc
	watch  *time.Timer // Runs look.
	state  atomic.Int32

	// mu guards the fields below.
	mu       sync.Mutex
	busy     bool          // A request is under way.
	watching chan struct{} // Closed when look returns; nil unless it reads.
	done     bool          // The request ended: what look reads means nothing.
	ahead    bool          // look read next.
	next     [1]byte
}

// desk is what a request needs and an idle lane doesn't.
type desk struct {
	buf  [laneBuffer]byte
	call call
	w    laneWriter
}

var desks = sync.Pool{New: func() any { return new(desk) }}

// serveLane serves c until it ends or goes to net/http.
func (s *Server) serveLane(c *innerConn) {
	ctx, cancel := context.WithCancel(context.Background())
	l := &lane{server: s, tunnel: c.tunnel, conn: c, cancel: cancel}
	l.base = (&http.Request{RemoteAddr: c.tunnel.peer}).WithContext(ctx)
	defer cancel()
	c.tunnel.lane.Store(l)
	defer c.tunnel.lane.Store(nil)
	for l.turn() {
	}
}

// end closes the connection.
func (l *lane) end() bool {
	_ = l.conn.Close()
	return false
}

// gone closes the connection of a client that was there no longer: TLS has nobody to take leave of.
func (l *lane) gone() bool {
	_ = l.tunnel.Close()
	return false
}

// handOver gives the connection to net/http, which reads b first.
func (l *lane) handOver(b []byte) bool {
	l.conn.ahead = append([]byte(nil), b...)
	if l.conn.SetReadDeadline(time.Time{}) != nil || !l.server.handOver.give(l.conn) {
		return l.end()
	}
	return false
}

// turn waits for a request and serves it; false when it was the lane's last.
func (l *lane) turn() bool {
	was, limit := l.state.Load(), l.server.opts.IdleTimeout
	if was == laneNew {
		limit = readHeaderTimeout
	}
	if l.conn.SetReadDeadline(time.Now().Add(limit)) != nil {
		return l.end()
	}
	// After the deadline, which the drain shortens.
	if l.server.draining.Load() && drainLane(l.tunnel) {
		return l.end()
	}
	// The buffer is taken only when something came.
	if n, err := l.conn.Conn.Read(l.next[:]); n == 0 || err != nil && !errors.Is(err, io.EOF) {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return l.end()
		}
		return l.gone()
	}
	if !l.state.CompareAndSwap(was, laneBusy) {
		return l.end()
	}
	if l.conn.SetReadDeadline(time.Now().Add(readHeaderTimeout)) != nil {
		return l.end()
	}
	d := desks.Get().(*desk)
	defer d.put()
	d.buf[0] = l.next[0]
	n, end := 1, 0
	for end == 0 {
		m, err := l.conn.Conn.Read(d.buf[n:])
		n += m
		var plain bool
		if end, plain = headEnd(d.buf[:n]); !plain || n == len(d.buf) {
			return l.handOver(d.buf[:n])
		}
		if end > 0 {
			break
		}
		if err != nil {
			return l.end()
		}
	}
	p, plain := parsePlain(string(d.buf[:end]))
	if !plain || end < n || !l.tunnel.target.Names(p.host) {
		return l.handOver(d.buf[:n])
	}
	if !l.serve(d, &p) {
		return l.end()
	}
	if l.ahead { // The client doesn't wait for answers.
		return l.handOver(l.next[:])
	}
	return l.state.CompareAndSwap(laneBusy, laneIdle)
}

func (d *desk) put() {
	d.call, d.w = call{}, laneWriter{}
	desks.Put(d)
}

// serve answers one request and reports whether the connection may serve another.
func (l *lane) serve(d *desk, p *plainHead) (again bool) {
	s := l.server
	l.begin()
	defer l.ended()
	defer func() {
		if r := recover(); r != nil {
			again = false
			if err, ok := r.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				s.opts.Log.Error("a request failed by a fault of sallyport", slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
			}
		}
	}()
	d.w = laneWriter{conn: l.conn.Conn, buf: d.buf[:0], head: p.method == http.MethodHead, stall: s.opts.StallTimeout, draining: &s.draining}
	r := p.request(l.base)
	d.call = call{server: s, tunnel: l.tunnel, w: &d.w, lean: &d.w, r: r, start: time.Now(), path: p.path, bind: s.bind(l.tunnel)}
	d.call.run()
	return d.w.finish()
}

// begin has the client watched if the request takes long.
func (l *lane) begin() {
	l.mu.Lock()
	l.busy = true
	l.mu.Unlock()
	if l.watch == nil {
		l.watch = time.AfterFunc(watchAfter, l.look)
	} else {
		l.watch.Reset(watchAfter)
	}
}

// ended ends what begin began.
func (l *lane) ended() {
	l.watch.Stop()
	l.mu.Lock()
	l.busy = false
	watching := l.watching
	if watching != nil {
		l.done = true
		_ = l.conn.SetReadDeadline(time.Unix(1, 0)) // Of a closed connection the next Read tells.
	}
	l.mu.Unlock()
	if watching == nil {
		return
	}
	<-watching
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watching, l.done = nil, false
}

// look reads from the client while its request is under way, as net/http does: the end of the connection ends the
// request, and a byte of the next request is kept. It ends with the request.
func (l *lane) look() {
	l.mu.Lock()
	if !l.busy || l.watching != nil {
		l.mu.Unlock()
		return
	}
	l.watching = make(chan struct{})
	_ = l.conn.SetReadDeadline(time.Time{}) // Of a closed connection Read tells.
	l.mu.Unlock()
	defer close(l.watching)
	n, err := l.conn.Conn.Read(l.next[:])
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ahead = n > 0
	if n == 0 && err != nil && !l.done {
		l.cancel()
	}
}

// newGrace is how long a drain lets a connection live that has made no request, as net/http does.
const newGrace = 5 * time.Second

// drainLane reports whether t has a lane that idles, and may be closed. A lane that is new gets a short time for its
// first request; one that is busy sees that the server drains.
func drainLane(t *tunnel) bool {
	l := t.lane.Load()
	if l == nil {
		return false
	}
	if l.state.Load() == laneNew {
		_ = t.SetReadDeadline(time.Now().Add(newGrace)) // Of a closed connection Read tells.
		return false
	}
	return l.state.CompareAndSwap(laneIdle, laneClosed)
}
