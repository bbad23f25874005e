package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

func TestAnswersStreamAsTheyCome(t *testing.T) {
	next := make(chan bool)
	e := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("sized") {
			w.Header().Set("Content-Length", "6")
		}
		for _, s := range []string{"one", "two"} {
			io.WriteString(w, s)
			w.(http.Flusher).Flush()
			<-next
		}
	})
	for _, p := range protocols {
		for _, query := range []string{"", "?sized"} {
			resp, err := e.client("billing", p).Get("https://" + acme + data + query)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"one", "two"} {
				b := make([]byte, 3)
				if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != want {
					t.Errorf("%s %s: %q, %v", p, query, b, err)
				}
				next <- true
			}
			if n, err := resp.Body.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
				t.Errorf("%s: %d, %v", p, n, err)
			}
			resp.Body.Close()
		}
	}
}

func TestRequestsStreamAsTheyCome(t *testing.T) {
	e := start(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		w.(http.Flusher).Flush()
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			w.Write(buf[:n])
			w.(http.Flusher).Flush()
			if err != nil {
				return
			}
		}
	})
	for _, p := range protocols {
		t.Run(p, func(t *testing.T) { pingPong(t, e, p) })
	}
}

// pingPong sends the second part of a body after the first part's answer has come.
func pingPong(t *testing.T, e *env, p string) {
	pr, pw := io.Pipe()
	defer pw.Close()
	go io.WriteString(pw, "ping") // Ends when it is read.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, "POST", "https://"+acme+data, pr)
	resp, err := e.client("billing", p).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for _, s := range []string{"ping", "pong"} {
		b := make([]byte, 4)
		if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != s {
			t.Fatalf("%q, %v", b, err)
		}
		if s == "ping" {
			io.WriteString(pw, "pong")
		}
	}
	pw.Close()
	if b, err := io.ReadAll(resp.Body); len(b) != 0 || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

func TestACutAnswerLooksCut(t *testing.T) {
	e := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("sized") {
			w.Header().Set("Content-Length", "100")
		}
		io.WriteString(w, "part")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	for _, p := range protocols {
		for _, query := range []string{"", "?sized"} {
			resp, err := e.client("billing", p).Get("https://" + acme + data + query)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			if string(b) != "part" || err == nil {
				t.Errorf("%s %s: %q, %v: the end wasn't told from a cut", p, query, b, err)
			}
			resp.Body.Close()
		}
	}
}

func TestTrailersPass(t *testing.T) {
	e := start(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Trailer", "Announced")
		w.Write(body)
		w.Header().Set("Announced", r.Trailer.Get("Sum"))
		w.Header().Set(http.TrailerPrefix+"Late", "too")
	})
	for _, p := range protocols {
		r, _ := http.NewRequestWithContext(t.Context(), "POST", "https://"+acme+data, io.MultiReader(strings.NewReader("x")))
		r.Trailer = http.Header{"Sum": {"42"}}
		resp, err := e.client("billing", p).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(b) != "x" || err != nil || resp.Trailer.Get("Announced") != "42" || resp.Trailer.Get("Late") != "too" {
			t.Errorf("%s: %q, %v, %v", p, b, err, resp.Trailer)
		}
	}
}

func TestExpectContinue(t *testing.T) {
	e := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("dead") && r.Header.Get("Authorization") == "Bearer acme-1" {
			w.WriteHeader(401)
			io.WriteString(w, invalidSession)
			return
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.Header.Get("Authorization"), body)
	})
	for query, want := range map[string]string{"": "Bearer acme-1 body", "?dead": "Bearer acme-2 body"} {
		c := e.inside()
		io.WriteString(c, "POST "+data+query+" HTTP/1.1\r\nHost: "+acme+"\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
		line, _ := c.r.ReadString('\n')
		_, _ = c.r.ReadString('\n')
		if line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("%q", line)
		}
		if r := c.say("POST", "body"); r.body != want {
			t.Errorf("%s: %s", query, r.body)
		}
		e.tokens.n["acme"] = 0
	}
}

func TestABodyThatIsTooLargeToKeep(t *testing.T) {
	e := start(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.Header.Get("Authorization") == "Bearer acme-1" {
			w.WriteHeader(401)
			io.WriteString(w, invalidSession)
		}
	}, func(o *proxy.Options) { o.MaxReplayBody, o.MaxReplayMemory = 1000, 2500 })
	for _, tt := range []struct {
		name string
		body io.Reader
	}{
		{"of known length", bytes.NewReader(make([]byte, 1001))},
		{"of unknown length", io.MultiReader(bytes.NewReader(make([]byte, 1001)))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e.tokens.n["acme"] = 0
			looked := e.tokens.lookedAt()
			r := do(t, e.client("billing", ""), "POST", "https://"+acme+data, tt.body)
			if e.tokens.lookedAt() != looked+1 {
				t.Error("the token's end wasn't looked at before the body was spent")
			}
			if r.StatusCode != 401 || r.body != invalidSession {
				t.Errorf("%d %s", r.StatusCode, r.body)
			}
			<-e.tokens.replaced // In the background.
			if r := do(t, e.client("billing", ""), "POST", "https://"+acme+data, strings.NewReader("x")); r.StatusCode != 200 {
				t.Errorf("the next: %d", r.StatusCode)
			}
			if e.tokens.lookedAt() != looked+1 {
				t.Error("the token's end was looked at before a body that is kept")
			}
		})
	}
	for range 5 { // The memory is given back: 5 × 900 is more than 2,500.
		e.tokens.n["acme"] = 0
		if r := do(t, e.client("billing", ""), "POST", "https://"+acme+data, bytes.NewReader(make([]byte, 900))); r.StatusCode != 200 {
			t.Fatalf("%d", r.StatusCode)
		}
		<-e.tokens.replaced
	}
}

func TestAClientThatGoesAwayCancelsTheCall(t *testing.T) {
	entered, cancelled := make(chan bool), make(chan bool)
	e := start(t, func(_ http.ResponseWriter, r *http.Request) {
		entered <- true
		<-r.Context().Done()
		cancelled <- true
	})
	for _, p := range protocols {
		ctx, cancel := context.WithCancel(t.Context())
		r, _ := http.NewRequestWithContext(ctx, "GET", "https://"+acme+data, nil)
		done := make(chan bool)
		go func() { // Ends when the request is cancelled.
			if resp, err := e.client("billing", p).Do(r); err == nil {
				resp.Body.Close()
			}
			close(done)
		}()
		<-entered
		cancel()
		<-done
		<-cancelled
	}
}

func TestDrain(t *testing.T) {
	entered, leave := make(chan bool), make(chan bool)
	e := start(t, func(w http.ResponseWriter, _ *http.Request) {
		entered <- true
		<-leave
		io.WriteString(w, "done")
	})
	idle := e.dial()
	under, under2 := e.inside(), make(chan result)
	go func() { // Ends with its answer.
		under2 <- under.say("GET", "GET "+data+" HTTP/1.1\r\nHost: "+acme+"\r\n\r\n")
	}()
	<-entered
	drained := make(chan error)
	go func() { drained <- e.server.Drain(context.Background()) }() // Ends with the request under way.
	for {
		r := idle.say("CONNECT", "CONNECT "+acme+":443 HTTP/1.1\r\nHost: x\r\n"+basic("billing", "pass")+"\r\n")
		if r.StatusCode == 503 {
			r.wantError(t, 503, "shutting_down")
			break
		}
		idle.Close() // The drain hadn't begun: that was a tunnel.
		idle = e.dial()
	}
	close(leave)
	if r := <-under2; r.body != "done" {
		t.Errorf("the request under way got %d %q", r.StatusCode, r.body)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

func TestDrainCutsWhatLastsTooLong(t *testing.T) {
	entered := make(chan bool)
	e := start(t, func(_ http.ResponseWriter, r *http.Request) {
		entered <- true
		<-r.Context().Done()
	})
	c := e.inside()
	io.WriteString(c, "GET "+data+" HTTP/1.1\r\nHost: "+acme+"\r\n\r\n")
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := e.server.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if _, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil {
		t.Error("an answer came")
	}
}
