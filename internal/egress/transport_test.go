package egress_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sallyport/sallyport/internal/egress"
)

func TestTransportSpeaksHTTP11AndKeepsConnections(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	type seen struct{ Proto, AcceptEncoding, UserAgent string }
	var got []seen
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		got = append(got, seen{r.Proto, r.Header.Get("Accept-Encoding"), r.Header.Get("User-Agent")})
	})
	url, resolve := s.named()
	e := newEgress(t, egress.Options{Resolve: resolve, Roots: s.roots})
	for range 3 {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		req.Header.Set("User-Agent", "jsforce")
		resp, err := e.Transport(netip.Addr{}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	one := seen{"HTTP/1.1", "", "jsforce"}
	if diff := cmp.Diff([]seen{one, one, one}, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if n := len(s.peerHosts()); n != 1 {
		t.Errorf("%d connections for three requests", n)
	}
}

func TestTransportErrors(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // Only then does the server notice that the caller went away.
		if r.URL.Path == "/cut" {
			panic(http.ErrAbortHandler)
		}
		<-r.Context().Done()
	})
	url, resolve := s.named()
	e := newEgress(t, egress.Options{Resolve: resolve, Roots: s.roots, UpstreamTimeout: 50 * time.Millisecond, Resolver: &net.Resolver{
		PreferGo: true,
		Dial:     func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no name server") },
	}})
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name, method, url string
		ctx               context.Context
		class             egress.Class
		notSent           bool
	}{
		{"no answer in time", http.MethodGet, url, t.Context(), egress.ClassTimeout, false},
		{"a connection cut before the answer", http.MethodPost, url + "/cut", t.Context(), egress.ClassUnreachable, false},
		{"a caller that went away", http.MethodGet, url, canceled, egress.ClassCanceled, false},
		{"an address that is not public", http.MethodGet, "https://127.0.0.1:9", t.Context(), egress.ClassAddressNotAllowed, true},
		{"a name that does not resolve", http.MethodGet, "https://nobody.invalid", t.Context(), egress.ClassUnreachable, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, _ := http.NewRequestWithContext(tt.ctx, tt.method, tt.url, strings.NewReader("body"))
			_, err := e.Transport(netip.Addr{}).RoundTrip(req)
			if got := egress.Classify(err); got != tt.class || egress.NotSent(err) != tt.notSent {
				t.Errorf("class %q, not sent %v: %v", got, egress.NotSent(err), err)
			}
		})
	}
	if _, err := get(t, e.Transport(netip.Addr{}), "http://example.com/"); err == nil || !strings.Contains(err.Error(), "TLS only") {
		t.Errorf("plain HTTP: %v", err)
	}
}

func TestAMappedNameIsStillVerified(t *testing.T) {
	s := serve(t, nil)
	_, resolve := s.named()
	for _, to := range resolve {
		resolve = map[string]string{"acme.my.salesforce.com:443": to}
	}
	e := newEgress(t, egress.Options{Resolve: resolve, Roots: s.roots})
	_, err := get(t, e.Transport(netip.Addr{}), "https://acme.my.salesforce.com/")
	wantAs[*egress.TLSError](t, err)
}

func TestNewReportsEveryFault(t *testing.T) {
	_, err := egress.New(egress.Options{
		SourceAddresses: append(addrs("0.0.0.0", "127.0.0.2", "127.0.0.2", "224.0.0.1"), netip.Addr{}),
		Allow:           []netip.Prefix{{}},
		Resolve:         map[string]string{"example.com": "127.0.0.1:1", "example.com:443": "localhost:1"},
		Proxy:           mustURL("socks5://user:hunter2@proxy.example/path"),
		DialTimeout:     -1,
	})
	for _, want := range []string{
		"SourceAddresses: 0.0.0.0", "127.0.0.2 is given twice", "224.0.0.1", "invalid IP", "Allow:", "needs roots", `"example.com" is not host:port`,
		`"localhost:1"`, `"socks5"`, "DialTimeout",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error shows the password: %v", err)
	}
	if _, ok := errors.AsType[*egress.OptionError](err); !ok {
		t.Errorf("error is %T", err)
	}
}
