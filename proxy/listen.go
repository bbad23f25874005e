package proxy

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/proxy/access"
)

// maxTurnedAway is how many connections beyond the limit are told so at a time; more are closed without a word.
const maxTurnedAway = 64

type frontKey struct{}

// frontListener counts connections and turns away those beyond the limit.
type frontListener struct {
	net.Listener
	server *Server
	local  bool
}

// Accept implements net.Listener.
func (l *frontListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.server.connections.Add(1) <= int64(l.server.opts.MaxConnections) {
			return &frontConn{Conn: c, local: l.local, release: func() { l.server.connections.Add(-1) }}, nil
		}
		l.server.connections.Add(-1)
		l.server.turnAway(c)
	}
}

// turnAway answers overloaded on c and closes it.
func (s *Server) turnAway(c net.Conn) {
	if s.turnedAway.Add(1) > maxTurnedAway {
		s.turnedAway.Add(-1)
		c.Close()
		return
	}
	spawned := s.tunnels.spawn(func() { // Ends after two seconds at the latest.
		defer s.turnedAway.Add(-1)
		defer c.Close()
		if c.SetDeadline(time.Now().Add(2*time.Second)) != nil {
			return
		}
		_, _ = c.Write(wire(explain(&access.RefusalError{Code: access.Overloaded, RetryAfter: time.Second,
			Message: "this proxy has as many connections as it may: try again, or raise SALLYPORT_MAX_CONNECTIONS"})))
		linger(c)
	})
	if !spawned {
		s.turnedAway.Add(-1)
		c.Close()
	}
}

// linger lets the peer read what was written: closing with bytes unread would reset the connection.
func linger(c net.Conn) {
	if w, ok := c.(interface{ CloseWrite() error }); ok && w.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, c, maxHeaderBytes)
	}
}

// frontConn is a client's connection to a listener.
type frontConn struct {
	net.Conn
	local   bool
	stall   atomic.Int64           // Of direct requests: how long the client may take nothing of an answer; 0: the server's own limit.
	direct  atomic.Pointer[tunnel] // Of the one under way.
	closed  atomic.Bool
	release func()
}

// Close implements net.Conn.
func (c *frontConn) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.release()
	}
	return c.Conn.Close()
}

// chain is the certificate that the client showed and its issuers, as the listener verified them; empty when it showed
// none, or doesn't speak TLS. It holds once something was read: the handshake is over then.
func (c *frontConn) chain() []*x509.Certificate {
	if c == nil {
		return nil
	}
	if over, ok := c.Conn.(*tls.Conn); ok {
		if chains := over.ConnectionState().VerifiedChains; len(chains) > 0 {
			return chains[0]
		}
	}
	return nil
}

// CloseWrite ends one direction, where the connection can.
func (c *frontConn) CloseWrite() error { return closeWrite(c.Conn) }

// Write implements net.Conn.
func (c *frontConn) Write(b []byte) (int, error) {
	limit := c.stall.Load()
	if limit == 0 {
		return writeOwn(c.Conn, b)
	}
	if err := c.SetWriteDeadline(time.Now().Add(time.Duration(limit))); err != nil {
		return 0, err
	}
	n, err := writeOwn(c.Conn, b)
	if err != nil {
		return n, err
	}
	return n, c.SetWriteDeadline(time.Time{}) // TLS writes by itself too, and Salesforce may take its time.
}

func closeWrite(c net.Conn) error {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

// plainError is how net/http ends the head of an answer to a request that it can't read. No answer of a handler has
// it: those have a Date.
var plainError = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")

// writeOwn writes b, in our form when b is what net/http says of a head that it can't read or that is too large.
func writeOwn(c net.Conn, b []byte) (int, error) {
	if len(b) < 512 && bytes.HasPrefix(b, []byte("HTTP/1.1 ")) {
		if at := bytes.Index(b, plainError); at > 0 {
			status, _ := strconv.Atoi(string(b[9:12]))
			a := answer{status: status, code: access.BadRequest, message: string(b[at+len(plainError):])}
			if _, err := c.Write(wire(a)); err != nil {
				return 0, err
			}
			return len(b), nil
		}
	}
	return c.Write(b)
}

// innerConn is an intercepted HTTP/1.1 connection. It is read by one goroutine at a time.
type innerConn struct {
	*tls.Conn
	tunnel *tunnel
	ahead  []byte // What the lane had read when it handed the connection over.
}

// Read implements net.Conn.
func (c *innerConn) Read(b []byte) (int, error) {
	if len(c.ahead) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.ahead)
	if c.ahead = c.ahead[n:]; len(c.ahead) == 0 {
		c.ahead = nil
	}
	return n, nil
}

// Write implements net.Conn.
func (c *innerConn) Write(b []byte) (int, error) {
	// What net/http writes at a time is small: a client that takes it takes it whole.
	if err := c.Conn.SetWriteDeadline(time.Now().Add(c.tunnel.server.opts.StallTimeout)); err != nil {
		return 0, err
	}
	n, err := writeOwn(c.Conn, b)
	if err != nil {
		return n, err
	}
	return n, c.Conn.SetWriteDeadline(time.Time{}) // TLS writes by itself too.
}

// handOver is a listener whose connections are handed to it after their CONNECT and TLS handshake.
type handOver struct {
	conns   chan net.Conn
	done    chan struct{}
	once    sync.Once
	serving func() // Called at the first Accept: the server has set itself up and serves nobody yet.
}

func newHandOver() *handOver { return &handOver{conns: make(chan net.Conn), done: make(chan struct{})} }

// give hands c over; false when nobody takes it any more.
func (h *handOver) give(c net.Conn) bool {
	select {
	case h.conns <- c:
		return true
	case <-h.done:
		return false
	}
}

// Accept implements net.Listener.
func (h *handOver) Accept() (net.Conn, error) {
	if h.serving != nil {
		h.serving()
		h.serving = nil
	}
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handOver) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

// Addr implements net.Listener.
func (h *handOver) Addr() net.Addr { return &net.UnixAddr{Name: "intercepted", Net: "unix"} }
