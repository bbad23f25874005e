package egress_test

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/egress"
)

func TestGRPCGoesByHTTP2AndAllElseDoesNot(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) })
	url, resolve := s.named()
	e := newEgress(t, egress.Options{Resolve: resolve, Roots: s.roots})
	for kind, want := range map[string]string{"application/grpc": "HTTP/2.0", "Application/GRPC+proto": "HTTP/2.0", "application/json": "HTTP/1.1"} {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("x"))
		r.Header.Set("Content-Type", kind)
		resp, err := e.Transport(netip.Addr{}).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(b) != want {
			t.Errorf("%s went by %s", kind, b)
		}
	}
}

func TestGRPCToAServerWithoutHTTP2(t *testing.T) {
	plain := httptest.NewUnstartedServer(http.NotFoundHandler())
	plain.TLS = &tls.Config{NextProtos: []string{"http/1.1"}}
	plain.Config.ErrorLog = log.New(io.Discard, "", 0)
	plain.StartTLS()
	t.Cleanup(plain.Close)
	s := serve(t, nil)
	s.addr = plain.Listener.Addr().String()
	url, _ := s.named()
	e := newEgress(t, egress.Options{Resolve: map[string]string{strings.TrimPrefix(url, "https://"): s.addr}, Roots: s.roots})
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("x"))
	r.Header.Set("Content-Type", "application/grpc")
	_, err := e.Transport(netip.Addr{}).RoundTrip(r)
	wantAs[*egress.TLSError](t, err)
	if !strings.Contains(err.Error(), "HTTP/2") {
		t.Error(err)
	}
}

// A gRPC server counts pings that come more often than every five minutes as abuse (gRPC, keepalive.md).
func TestHTTP2IsNotAskedTooOftenWhetherItLives(t *testing.T) {
	if egress.PingAfter < 5*time.Minute {
		t.Errorf("a ping every %v", egress.PingAfter)
	}
}
