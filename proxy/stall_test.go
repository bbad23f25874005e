package proxy_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/access"
)

const post = "POST " + data + " HTTP/1.1\r\nHost: " + acme + "\r\nContent-Length: 100\r\n\r\npart"

func TestAnUploadThatStalls(t *testing.T) {
	ended := make(chan error, 1)
	e := start(t, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		ended <- err
	}, func(o *proxy.Options) { o.StallTimeout = 100 * time.Millisecond })
	wantCut := func(t *testing.T) {
		t.Helper()
		if err := <-ended; err == nil {
			t.Error("Salesforce took a part for the whole")
		}
	}
	t.Run("HTTP/1.1", func(t *testing.T) {
		c := e.inside()
		r := c.say("POST", post)
		r.wantError(t, 400, access.BadRequest)
		if _, err := c.r.ReadByte(); !r.Close || !errors.Is(err, io.EOF) {
			t.Errorf("the connection serves on: %v", err)
		}
		wantCut(t)
	})
	t.Run("HTTP/2", func(t *testing.T) {
		f := e.frames(t)
		f.ask(false, ":method", "POST", ":scheme", "https", ":authority", acme, ":path", data)
		if err := f.WriteData(1, false, []byte("part")); err != nil {
			t.Fatal(err)
		}
		if head, ok := f.hear().(*http2.MetaHeadersFrame); !ok || head.PseudoValue("status") != "400" {
			t.Errorf("got %v", head)
		}
		wantCut(t)
	})
}

// An upload lasts longer than the limit, and each of its parts comes well within it.
func TestASlowUploadThatGoesOn(t *testing.T) {
	const limit, pause, parts = time.Second, 50 * time.Millisecond, 30
	ended := make(chan error, 1)
	e := start(t, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		ended <- err
	}, func(o *proxy.Options) { o.StallTimeout = limit })
	for _, p := range protocols {
		pr, pw := io.Pipe()
		tick := time.NewTicker(pause)
		go func() { // Ends with its parts, or when the request fails.
			defer tick.Stop()
			for range parts {
				<-tick.C
				if _, err := io.WriteString(pw, "part"); err != nil {
					return
				}
			}
			pw.Close()
		}()
		if r := do(t, e.client("billing", p), "POST", "https://"+acme+data, pr); r.StatusCode != 200 {
			t.Errorf("%s: %d %s", p, r.StatusCode, r.body)
		}
		if err := <-ended; err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
}

// endless answers until nobody listens.
func endless(ended chan<- bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		piece := make([]byte, 32<<10)
		for {
			if _, err := w.Write(piece); err != nil {
				ended <- true
				return
			}
		}
	}
}

// deaf are clients that ask and never read their answers.
var deaf = map[string]func(t *testing.T, e *env){
	"in the lane": func(_ *testing.T, e *env) { io.WriteString(e.inside(), get+"\r\n") },
	"in the lane, with a byte of the next request": func(_ *testing.T, e *env) {
		c := e.inside()
		io.WriteString(c, get+"\r\n")
		time.AfterFunc(2*watchAfter, func() { io.WriteString(c, "G") })
	},
	"by net/http": func(_ *testing.T, e *env) {
		io.WriteString(e.inside(), strings.Replace(post, "100", "4", 1))
	},
	"by HTTP/2, which takes no byte": func(t *testing.T, e *env) {
		e.frames(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1}).
			ask(true, ":method", "GET", ":scheme", "https", ":authority", acme, ":path", data)
	},
	"by HTTP/2, whose stream has no room": func(t *testing.T, e *env) {
		f := e.frames(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		f.ask(true, ":method", "GET", ":scheme", "https", ":authority", acme, ":path", data)
		go func() { // Ends with the connection.
			for {
				if _, err := f.ReadFrame(); err != nil {
					return
				}
			}
		}()
	},
}

const watchAfter = 50 * time.Millisecond // As in the lane.

func TestAClientThatNeverReadsIsCut(t *testing.T) {
	for name, ask := range deaf {
		t.Run(name, func(t *testing.T) {
			ended := make(chan bool, 1)
			e := start(t, endless(ended), func(o *proxy.Options) { o.StallTimeout = 300 * time.Millisecond })
			ask(t, e)
			select {
			case <-ended:
			case <-time.After(15 * time.Second):
				t.Fatal("the call upstream goes on")
			}
		})
	}
}

func TestAnHTTP2ConnectionThatTakesNothingIsClosed(t *testing.T) {
	ended := make(chan bool, 1)
	e := start(t, endless(ended), func(o *proxy.Options) { o.StallTimeout = 300 * time.Millisecond })
	f := e.frames(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
	if err := f.WriteWindowUpdate(0, 1<<30); err != nil { // Else it is the window that fills up, not the socket.
		t.Fatal(err)
	}
	f.ask(true, ":method", "GET", ":scheme", "https", ":authority", acme, ":path", data)
	select {
	case <-ended:
	case <-time.After(15 * time.Second):
		t.Fatal("the call upstream goes on")
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for begun := time.Now(); time.Since(begun) < 10*time.Second; <-tick.C {
		if f.WritePing(false, [8]byte{}) != nil {
			return
		}
	}
	t.Error("the connection lives on")
}

func TestADrainEndsInTimeWhateverClientsDo(t *testing.T) {
	silent := func(ended chan bool) http.HandlerFunc {
		return func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
			ended <- true
		}
	}
	for name, ask := range deaf {
		for kind, handler := range map[string]func(chan bool) http.HandlerFunc{
			"an endless answer": func(c chan bool) http.HandlerFunc { return endless(c) }, "no answer": silent,
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				entered, serve := make(chan bool, 1), handler(make(chan bool, 1))
				e := start(t, func(w http.ResponseWriter, r *http.Request) {
					entered <- true
					serve(w, r)
				})
				ask(t, e)
				<-entered
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond) // Long enough for all of it to be stuck.
				defer cancel()
				drainsSoon(ctx, t, e)
			})
		}
	}
	t.Run("a tunnel whose server doesn't read", func(t *testing.T) {
		e := start(t, echo, func(o *proxy.Options) { o.Passthrough.Patterns = []string{"pypi.example"} })
		l := listen(t)
		defer l.Close()
		e.upstream.dial = func(ctx context.Context, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
		}
		c := e.connect("pypi.example:443")
		c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		for piece := make([]byte, 64<<10); ; {
			if _, err := c.Write(piece); err != nil {
				break // Every buffer on the way is full.
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		drainsSoon(ctx, t, e)
	})
}

func drainsSoon(ctx context.Context, t *testing.T, e *env) {
	t.Helper()
	begun := time.Now()
	done := make(chan error, 1)
	go func() { done <- e.server.Drain(ctx) }() // Ends with the drain.
	select {
	case err := <-done:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nothing was cut: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the drain lasts " + strconv.Itoa(int(time.Since(begun).Seconds())) + " s")
	}
}
