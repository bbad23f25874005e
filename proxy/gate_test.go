package proxy_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/egress"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/access"
)

// hung is a Salesforce that never answers API calls, and an org's clients that wait for it.
type hung struct {
	*env
	entered chan string
	release chan bool
	waiting sync.WaitGroup
}

func newHung(t *testing.T, change func(*proxy.Options)) *hung {
	h := &hung{entered: make(chan string, 100), release: make(chan bool)}
	h.env = start(t, func(_ http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/now") {
			return
		}
		h.entered <- r.URL.Path
		<-h.release
	}, change)
	return h
}

// ask sends a request that waits for the release, and returns when it is under way upstream.
func (h *hung) ask(user, path string) {
	h.t.Helper()
	c := h.client(user, "")
	h.waiting.Go(func() { // Ends with the release.
		if resp, err := c.Get("https://" + acme + path); err == nil {
			resp.Body.Close()
		}
	})
	<-h.entered
}

func TestAnOrgsRequestsUnderWayAreBounded(t *testing.T) {
	h := newHung(t, func(o *proxy.Options) { o.MaxUpstream, o.UpstreamWait = 4, 50*time.Millisecond })
	defer h.waiting.Wait()
	defer close(h.release)
	for range 3 {
		h.ask("billing", data)
	}
	now := "https://" + acme + data + "now"
	for _, p := range protocols {
		do(t, h.client("billing", p), "GET", now, nil).wantError(t, 503, access.Overloaded)
		if r := do(t, h.client("traced", p), "GET", now, nil); r.StatusCode != 200 {
			t.Errorf("another client, when one has its share: %d", r.StatusCode)
		}
		if r := do(t, h.client("billing", p), "GET", cometd+"/now", nil); r.StatusCode != 200 {
			t.Errorf("a long poll, when there are as many calls as may be: %d", r.StatusCode)
		}
	}
	h.ask("traced", data)
	do(t, h.client("traced", ""), "GET", now, nil).wantError(t, 503, access.Overloaded)
	if r := do(t, h.client("both+acme-too", ""), "GET", now, nil); r.StatusCode != 200 {
		t.Errorf("another org: %d", r.StatusCode)
	}
}

func TestARequestThatWaitsForItsTurnGetsIt(t *testing.T) {
	h := newHung(t, func(o *proxy.Options) { o.MaxUpstream, o.UpstreamWait = 1, 20*time.Second })
	h.ask("billing", data)
	next := h.client("traced", "")
	answered := make(chan int)
	go func() { // Ends with its answer.
		resp, err := next.Get("https://" + acme + data + "now")
		if err != nil {
			answered <- 0
			return
		}
		resp.Body.Close()
		answered <- resp.StatusCode
	}()
	select {
	case status := <-answered:
		t.Errorf("it didn't wait: %d", status)
	case <-time.After(100 * time.Millisecond):
	}
	close(h.release)
	if status := <-answered; status != 200 {
		t.Errorf("got %d", status)
	}
	h.waiting.Wait()
}

func TestTooManyConnectionsAreOverload(t *testing.T) {
	e := start(t, echo)
	e.upstream.trip = func(*http.Request) (*http.Response, error) { return nil, &egress.BusyError{Host: acme, Open: 1} }
	do(t, e.client("billing", ""), "GET", "https://"+acme+data, nil).wantError(t, 503, access.Overloaded)
}

func TestAFloodOfWrongSecretsKeepsNoGeneratedOneOut(t *testing.T) {
	flooding, release := make(chan bool, 64), make(chan bool)
	e := start(t, echo, func(o *proxy.Options) {
		o.VerifySecret = func(hash string, s secret.Text) bool {
			if registry.IsFastHash(hash) {
				return registry.VerifySecret(hash, s)
			}
			flooding <- true
			<-release
			return false
		}
	})
	made, err := e.registry.AddClientSecret(t.Context(), "billing")
	if err != nil {
		t.Fatal(err)
	}
	var flood sync.WaitGroup
	head := "CONNECT " + acme + ":443 HTTP/1.1\r\nHost: x\r\n"
	for n := range 64 {
		c := e.dial()
		fmt.Fprint(c, head+basic("billing", fmt.Sprint("wrong", n))+"\r\n")
		flood.Go(func() { c.hear("CONNECT") }) // Ends with its answer.
	}
	<-flooding
	begun := time.Now()
	r := e.dial().say("CONNECT", head+basic("billing", made.Reveal())+"\r\n")
	if took := time.Since(begun); r.StatusCode != 200 || took > 2*time.Second { // A wait for a turn would last for ever.
		t.Errorf("%d after %v", r.StatusCode, took)
	}
	close(release)
	go func() { // Ends with the flood.
		for range flooding {
		}
	}()
	flood.Wait()
	close(flooding)
}
