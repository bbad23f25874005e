package egress_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/internal/egress"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// server is a TLS server whose certificate is for example.com and 127.0.0.1.
type server struct {
	*httptest.Server
	roots *x509.CertPool
	addr  string
	port  uint16

	mu    sync.Mutex // guards peers
	peers []string   // Remote addresses of the connections, in order.
}

func serve(t *testing.T, h http.HandlerFunc) *server {
	t.Helper()
	if h == nil {
		h = func(http.ResponseWriter, *http.Request) {}
	}
	s := &server{roots: x509.NewCertPool()}
	s.Server = httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true
	s.TLS = &tls.Config{NextProtos: []string{"h2", "http/1.1"}} // Nobody must take h2.
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.peers = append(s.peers, c.RemoteAddr().String())
		}
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	s.roots.AddCert(s.Certificate())
	s.addr = s.Listener.Addr().String()
	ap := netip.MustParseAddrPort(s.addr)
	s.port = ap.Port()
	return s
}

func (s *server) peerHosts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, p := range s.peers {
		h, _, _ := net.SplitHostPort(p)
		out = append(out, h)
	}
	return out
}

// named returns the URL of s by the name in its certificate, and the Resolve entry for it.
func (s *server) named() (string, map[string]string) {
	hostport := "example.com:" + strconv.Itoa(int(s.port))
	return "https://" + hostport, map[string]string{hostport: s.addr}
}

func newEgress(t *testing.T, o egress.Options) *egress.Egress {
	t.Helper()
	e, err := egress.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func get(t *testing.T, rt http.RoundTripper, url string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := rt.RoundTrip(req)
	if err == nil {
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	return resp, err
}

func wantAs[E error](t *testing.T, err error) E {
	t.Helper()
	e, ok := errors.AsType[E](err)
	if !ok {
		t.Fatalf("error is %T: %v", err, err)
	}
	return e
}

func dead(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
