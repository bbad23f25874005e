package egress_test

import (
	"context"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sallyport/sallyport/internal/egress"
)

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

// connectProxy tunnels every CONNECT to one server, whatever it names, for user:hunter2.
type connectProxy struct {
	to string

	mu      sync.Mutex // guards targets
	targets []string
}

func (p *connectProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Header.Set("Authorization", r.Header.Get("Proxy-Authorization"))
	if user, pass, ok := r.BasicAuth(); !ok || user != "user" || pass != "hunter2" {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	p.mu.Lock()
	p.targets = append(p.targets, r.Method+" "+r.Host)
	p.mu.Unlock()
	up, err := net.Dial("tcp", p.to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		up.Close()
		return
	}
	io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n")
	var wg sync.WaitGroup // Both directions end when either end closes.
	wg.Go(func() { io.Copy(up, c); up.Close() })
	io.Copy(c, up)
	c.Close()
	wg.Wait()
}

func TestThroughAnUpstreamProxy(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != "" {
			t.Error("the proxy's password reached the server")
		}
	})
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			p := &connectProxy{to: s.addr}
			ps := serveProxy(t, scheme, p)
			roots := x509.NewCertPool()
			roots.AddCert(s.Certificate())
			e := newEgress(t, egress.Options{
				Roots: roots, Proxy: mustURL(scheme + "://user:hunter2@" + ps), SourceAddresses: addrs("127.0.0.2"),
				Resolve: map[string]string{"example.com:7443": "127.0.0.1:7443"},
			})
			src := netip.MustParseAddr("127.0.0.2")
			if _, err := get(t, e.Transport(src), "https://example.com/"); err != nil {
				t.Fatal(err)
			}
			c, err := e.DialTLS(t.Context(), src, "EXAMPLE.com.", 7443)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if c.Wrote() {
				t.Error("Wrote() is true after CONNECT and handshake alone")
			}
			if c.RemoteAddr().String() != ps || !strings.HasPrefix(c.LocalAddr().String(), "127.0.0.2:") {
				t.Errorf("addresses: %v to %v", c.LocalAddr(), c.RemoteAddr())
			}
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
			if !c.Wrote() {
				t.Error("Wrote() is false after a request")
			}
			tunnel, err := e.DialTunnel(t.Context(), src, "example.com:443")
			if err != nil {
				t.Fatal(err)
			}
			tunnel.Close()
			want := []string{"CONNECT example.com:443", "CONNECT 127.0.0.1:7443", "CONNECT example.com:443"}
			p.mu.Lock()
			defer p.mu.Unlock()
			if diff := cmp.Diff(want, p.targets); diff != "" {
				t.Errorf("the proxy saw (-want +got):\n%s", diff)
			}
		})
	}
}

// serveProxy serves h by http or https and returns its address.
func serveProxy(t *testing.T, scheme string, h http.Handler) string {
	t.Helper()
	if scheme == "https" {
		s := serve(t, h.ServeHTTP)
		return s.addr
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h}
	go srv.Serve(l) // Ends when srv is closed.
	t.Cleanup(func() { srv.Close() })
	return l.Addr().String()
}

func TestAnUpstreamProxysErrorsHoldNoPassword(t *testing.T) {
	answer := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			defer c.Close()
			io.WriteString(c, strings.ReplaceAll(s, "ECHO", r.Header.Get("Proxy-Authorization")))
		}
	}
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		status  int
		want    string
	}{
		{"a wrong password", (&connectProxy{}).ServeHTTP, 407, "refused the user and password"},
		{"a server that cannot be reached", answer("HTTP/1.1 502 ECHO\r\n\r\n"), 502, "answered 502"},
		{"no HTTP", answer("ECHO ECHO ECHO\r\n\r\n"), 0, "did not answer in HTTP"},
		{"an endless head", answer("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 20<<10) + "\r\n\r\n"), 0, "did not answer in HTTP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr := serveProxy(t, "http", tt.handler)
			e := newEgress(t, egress.Options{Proxy: mustURL("http://user:wrong-secret@" + addr)})
			_, err := e.DialTLS(t.Context(), netip.Addr{}, "example.com", 443)
			if u := wantAs[*egress.UnreachableError](t, err); u.Stage != egress.StageProxy || u.Host != "example.com:443" {
				t.Errorf("error: %+v", u)
			}
			if p := wantAs[*egress.ProxyError](t, err); p.Status != tt.status || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error: %v", err)
			}
			for _, s := range []string{"wrong-secret", "user:", "dXNlcj"} {
				if strings.Contains(err.Error(), s) {
					t.Errorf("the error shows %q: %v", s, err)
				}
			}
		})
	}
}

func TestThroughAnUpstreamProxyNamesAreJudged(t *testing.T) {
	p := &connectProxy{}
	e := newEgress(t, egress.Options{Allow: loopback, Proxy: mustURL("http://user:hunter2@" + serveProxy(t, "http", p))})
	for _, host := range []string{
		"127.0.0.1", "8.8.8.8", "[::ffff:127.0.0.1]", "[2606:4700::1]", "localhost", "db", "a.localhost", "metadata.google.internal",
		"printer.local", "METADATA.google.internal.", "0x7f.1", "2130706433", "x\r\nProxy-Evil: 1",
	} {
		_, err := e.DialTunnel(t.Context(), netip.Addr{}, host+":443")
		wantAs[*egress.AddressNotAllowedError](t, err)
	}
	if len(p.targets) > 0 {
		t.Errorf("the proxy saw %q", p.targets)
	}
}

func TestASilentUpstreamProxyIsGivenUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // The kernel accepts, nobody answers.
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	e := newEgress(t, egress.Options{Proxy: mustURL("http://" + l.Addr().String()), HandshakeTimeout: 50 * time.Millisecond})
	_, err = e.DialTLS(t.Context(), netip.Addr{}, "example.com", 443)
	if u := wantAs[*egress.UnreachableError](t, err); !u.Timeout() || u.Stage != egress.StageProxy {
		t.Errorf("error: %+v", u)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.DialTLS(ctx, netip.Addr{}, "example.com", 443); egress.Classify(err) != egress.ClassCanceled {
		t.Errorf("a canceled dial: %v", err)
	}
}
