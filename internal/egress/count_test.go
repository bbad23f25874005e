package egress_test

import (
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/egress"
)

func TestConnectionsToAHostAreBounded(t *testing.T) {
	entered, release := make(chan bool), make(chan bool)
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			entered <- true
			<-release
		}
	})
	url, resolve := s.named()
	e := newEgress(t, egress.Options{Resolve: resolve, Roots: s.roots, MaxPerHost: 2})
	trip := e.Transport(netip.Addr{})
	done := make(chan error, 2)
	send := func(method, path string, body io.Reader) error {
		req, err := http.NewRequestWithContext(t.Context(), method, url+path, body)
		if err != nil {
			return err
		}
		resp, err := trip.RoundTrip(req)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		return err
	}
	// What idles makes room: one connection of the lane, and one of the transport.
	for range 3 {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if err := send(method, "/", strings.NewReader(map[string]string{"POST": "x"}[method])); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 {
		go func() { done <- send(http.MethodGet, "/wait", nil) }() // Ends with the release.
		<-entered
	}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		begun := time.Now()
		err := send(method, "/", nil)
		busy := wantAs[*egress.BusyError](t, err)
		if busy.Open != 2 || !egress.NotSent(err) || time.Since(begun) > 5*time.Second {
			t.Errorf("%s: %v", method, err)
		}
	}
	close(release)
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if err := send(http.MethodPost, "/", strings.NewReader("x")); err != nil {
		t.Errorf("after they ended: %v", err)
	}
}
