package egress_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/egress"
)

func dial(t *testing.T, s *server) *egress.Conn {
	t.Helper()
	e := newEgress(t, egress.Options{Allow: loopback, Roots: s.roots})
	c, err := e.DialTLS(t.Context(), netip.Addr{}, "127.0.0.1", s.port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestDialTLSCarriesOneRequest(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto+" "+r.FormValue("grant_type")) })
	c := dial(t, s)
	if c.Wrote() {
		t.Error("Wrote() is true after the handshake alone")
	}
	if p := c.ConnectionState().NegotiatedProtocol; p != "http/1.1" {
		t.Errorf("ALPN chose %q", p)
	}
	req, _ := http.NewRequest(http.MethodPost, s.URL, strings.NewReader("grant_type=refresh_token"))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if err := req.Write(c); err != nil {
		t.Fatal(err)
	}
	if !c.Wrote() {
		t.Error("Wrote() is false after a request")
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), req)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	if string(body) != "HTTP/1.1 refresh_token" {
		t.Errorf("answer: %q", body)
	}
	if c.LocalAddr() == nil || c.RemoteAddr().String() != s.addr {
		t.Errorf("addresses: %v to %v", c.LocalAddr(), c.RemoteAddr())
	}
}

func TestWroteIsFalseWhenNothingLeft(t *testing.T) {
	t.Run("a connection that we closed", func(t *testing.T) {
		c := dial(t, serve(t, nil))
		c.Close()
		if _, err := c.Write([]byte("x")); err == nil || c.Wrote() {
			t.Errorf("Write: %v, Wrote: %v", err, c.Wrote())
		}
	})
	t.Run("a deadline that is over", func(t *testing.T) {
		c := dial(t, serve(t, nil))
		c.SetWriteDeadline(time.Unix(1, 0))
		if _, err := c.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) || c.Wrote() {
			t.Errorf("Write: %v, Wrote: %v", err, c.Wrote())
		}
	})
	t.Run("a connection that the server reset", func(t *testing.T) {
		s := serve(t, nil)
		s.Server.Config.ConnState = nil
		accepted := make(chan net.Conn, 1)
		l := listenTLS(t, s, accepted)
		e := newEgress(t, egress.Options{Allow: loopback, Roots: s.roots})
		c, err := e.DialTLS(t.Context(), netip.Addr{}, "127.0.0.1", l)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		peer := <-accepted
		peer.(*net.TCPConn).SetLinger(0)
		peer.Close()
		io.Copy(io.Discard, c) // Returns when the reset is here.
		if _, err := c.Write([]byte("x")); err == nil || c.Wrote() {
			t.Errorf("Write: %v, Wrote: %v", err, c.Wrote())
		}
	})
}

// listenTLS accepts one connection with the certificate of s, completes TLS, and hands the socket over.
func listenTLS(t *testing.T, s *server, accepted chan<- net.Conn) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() { // Ends after one connection or when the listener is closed.
		raw, err := l.Accept()
		if err != nil {
			return
		}
		tls.Server(raw, &tls.Config{Certificates: s.TLS.Certificates}).HandshakeContext(t.Context())
		accepted <- raw
	}()
	return netip.MustParseAddrPort(l.Addr().String()).Port()
}

func TestWroteIsTrueWhenAWriteIsStuckOrCutShort(t *testing.T) {
	s := serve(t, nil)
	accepted := make(chan net.Conn, 1)
	port := listenTLS(t, s, accepted)
	e := newEgress(t, egress.Options{Allow: loopback, Roots: s.roots})
	c, err := e.DialTLS(t.Context(), netip.Addr{}, "127.0.0.1", port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	peer := <-accepted // It never reads.
	defer peer.Close()
	much := make([]byte, 64<<20)
	c.SetWriteDeadline(time.Now().Add(2 * time.Second)) // long enough to begin, on any machine
	if _, err := c.Write(much); !errors.Is(err, os.ErrDeadlineExceeded) || !c.Wrote() {
		t.Errorf("Write: %v, Wrote: %v", err, c.Wrote())
	}
}

// fakeConn answers every write with n and err.
type fakeConn struct {
	net.Conn
	n   int
	err error
}

func (f fakeConn) Write([]byte) (int, error) { return f.n, f.err }

func TestWhatAWriteProves(t *testing.T) {
	for _, tt := range []struct {
		name string
		conn fakeConn
		want bool
	}{
		{"a whole write", fakeConn{n: 1}, true},
		{"a short write with an error", fakeConn{n: 1, err: syscall.EPIPE}, true},
		{"nothing taken, broken pipe", fakeConn{err: syscall.EPIPE}, false},
		{"nothing taken, reset", fakeConn{err: &net.OpError{Op: "write", Err: os.NewSyscallError("write", syscall.ECONNRESET)}}, false},
		{"nothing taken, closed here", fakeConn{err: net.ErrClosed}, false},
		{"an error that proves nothing", fakeConn{err: errors.New("strange")}, true},
		{"an error number that proves nothing", fakeConn{err: syscall.EIO}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := egress.SentAfter(tt.conn, []byte("x")); got != tt.want {
				t.Errorf("sent = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestDialTLSErrors(t *testing.T) {
	s := serve(t, nil)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // The kernel accepts, nobody answers.
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	go func() { // Ends with the listener's one connection.
		c, err := plain.Accept()
		if err == nil {
			io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
			io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	port := func(a string) uint16 { return netip.MustParseAddrPort(a).Port() }
	for _, tt := range []struct {
		name  string
		o     egress.Options
		host  string
		port  uint16
		class egress.Class
	}{
		{"an untrusted certificate", egress.Options{}, "127.0.0.1", s.port, egress.ClassTLS},
		{"a certificate for another name", egress.Options{Roots: s.roots, Resolver: rebinder(netip.MustParseAddr("127.0.0.1"))}, "other.example", s.port, egress.ClassTLS},
		{"a server that does not speak TLS", egress.Options{Roots: s.roots}, "127.0.0.1", port(plain.Addr().String()), egress.ClassTLS},
		{"a closed port", egress.Options{}, "127.0.0.1", port(dead(t)), egress.ClassUnreachable},
		{"a server that is silent", egress.Options{HandshakeTimeout: 50 * time.Millisecond}, "127.0.0.1", port(silent.Addr().String()), egress.ClassUnreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Allow = loopback
			_, err := newEgress(t, tt.o).DialTLS(t.Context(), netip.Addr{}, tt.host, tt.port)
			if egress.Classify(err) != tt.class || !egress.NotSent(err) {
				t.Errorf("class %q, not sent %v: %v", egress.Classify(err), egress.NotSent(err), err)
			}
		})
	}
}
