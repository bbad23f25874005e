package proxy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/tokens"
)

const (
	cometd          = "https://" + acme + "/cometd/65.0"
	deadConnect     = `[{"channel":"/meta/connect","id":"2","successful":false,"error":"401::Authentication invalid","advice":{"reconnect":"none"}}]`
	deadHandshake   = `[{"channel":"/meta/handshake","successful":false,"error":"403::Handshake denied","ext":{"replay":true,"sfdc":{"failureReason":"401::Authentication invalid"}},"advice":{"reconnect":"none"}}]`
	unknownClient   = `[{"channel":"/meta/connect","successful":false,"error":"403::Unknown client","advice":{"reconnect":"handshake","interval":0}}]`
	quotingEvent    = `[{"channel":"/topic/x","data":{"successful":false,"error":"401::Authentication invalid"}},{"channel":"/meta/connect","successful":true}]`
	partlyPublished = `[{"channel":"/event/x","successful":true},{"channel":"/meta/connect","successful":false,"error":"401::Authentication invalid"}]`
)

func TestADeadSessionInsideA200OfCometD(t *testing.T) {
	for _, tt := range []struct {
		name, body, encoding string
		path                 string
		cured, replaced      bool
	}{
		{"a connect", deadConnect, "", cometd, true, true},
		{"a handshake", deadHandshake, "", cometd, true, true},
		{"a message that stands alone", deadConnect[1 : len(deadConnect)-1], "", cometd, true, true},
		{"in gzip", zipped(deadHandshake), "gzip", cometd, true, true},
		{"one of several messages, whose others were done", partlyPublished, "", cometd, false, true},
		{"not a client that is unknown", unknownClient, "", cometd, false, false},
		{"not what an event quotes", quotingEvent, "", cometd, false, false},
		{"not a coding that can't be read", deadConnect, "br", cometd, false, false},
		{"not what comes after 64 KiB", "[" + strings.Repeat(" ", 64<<10) + deadConnect[1:], "", cometd, false, false},
		{"not what is no JSON", "<html>", "", cometd, false, false},
		{"not another API's 200", deadConnect, "", "https://" + acme + data, false, false},
	} {
		for _, sized := range []bool{true, false} {
			for _, p := range protocols {
				t.Run(fmt.Sprintf("%s, %s, sized %v", tt.name, p, sized), func(t *testing.T) {
					e := start(t, func(w http.ResponseWriter, r *http.Request) {
						sent, _ := io.ReadAll(r.Body)
						if strings.HasSuffix(r.Header.Get("Authorization"), "acme-2") {
							fmt.Fprintf(w, "cured %s", sent)
							return
						}
						if tt.encoding != "" {
							w.Header().Set("Content-Encoding", tt.encoding)
						}
						if sized {
							w.Header().Set("Content-Length", fmt.Sprint(len(tt.body)))
						} else {
							w.(http.Flusher).Flush()
						}
						io.WriteString(w, tt.body)
					})
					r := do(t, e.client("billing", p), "POST", tt.path, strings.NewReader("[hello]"))
					if want := map[bool]string{true: "cured [hello]", false: tt.body}[tt.cured]; r.StatusCode != 200 || r.body != want {
						t.Errorf("%d %.80q", r.StatusCode, r.body)
					}
					if tt.replaced {
						<-e.tokens.replaced
					} else if len(e.tokens.replaced) > 0 {
						t.Error("the token was replaced")
					}
				})
			}
		}
	}
}

func TestACometDBodyThatCannotBeSentAgain(t *testing.T) {
	e := start(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, deadConnect)
	}, func(o *proxy.Options) { o.MaxReplayBody = 10 })
	r := do(t, e.client("billing", ""), "POST", cometd, bytes.NewReader(make([]byte, 100)))
	if r.StatusCode != 200 || r.body != deadConnect {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	<-e.tokens.replaced
}

func TestACometDSessionThatIsRefusedTwice(t *testing.T) {
	e := start(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, deadConnect) })
	r := do(t, e.client("billing", ""), "POST", cometd, strings.NewReader("[]"))
	if r.StatusCode != 502 || r.Header.Get("Sallyport-Error") != "session_rejected" || !strings.Contains(r.body, `"reconnect":"none"`) {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	if len(e.tokens.replaced) != 1 {
		t.Errorf("%d replacements", len(e.tokens.replaced))
	}
}

func TestLongPollsOfCometDStream(t *testing.T) {
	next, gone := make(chan bool), make(chan bool, 1)
	e := start(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `[{"channel":"/topic/x"}`)
		w.(http.Flusher).Flush()
		select {
		case <-next:
			io.WriteString(w, `,{"channel":"/meta/connect","successful":true}]`)
		case <-r.Context().Done():
			gone <- true
		}
	})
	for _, p := range protocols {
		resp, err := e.client("billing", p).Get(cometd)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		n, err := resp.Body.Read(b) // Before the rest is written.
		if err != nil || !strings.HasPrefix(string(b[:n]), `[{"channel"`) {
			t.Fatalf("%s: %q, %v", p, b[:n], err)
		}
		next <- true
		if rest, err := io.ReadAll(resp.Body); err != nil || !strings.HasSuffix(string(rest), "true}]") {
			t.Errorf("%s: %q, %v", p, rest, err)
		}
		resp.Body.Close()

		if resp, err = e.client("billing", p).Get(cometd); err != nil {
			t.Fatal(err)
		}
		_, _ = resp.Body.Read(b)
		resp.Body.Close() // In the middle of the poll: Salesforce must see it.
		select {
		case <-gone:
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: the call upstream goes on without its client", p)
		}
	}
}

// A client of CometD doesn't know what was answered without its message's id and channel, and sends it again for ever.
func TestARefusalRepeatsWhatItAnswers(t *testing.T) {
	e := start(t, echo)
	for _, tt := range []struct {
		code   tokens.Code
		advice string
	}{
		{tokens.CodeReauthRequired, `{"reconnect":"none"}`},
		{tokens.CodeUnavailable, `{"interval":2000,"reconnect":"retry"}`},
	} {
		e.tokens.set(&tokens.Error{Org: "acme", Code: tt.code, What: "no", Hint: "do", RetryAfter: 2 * time.Second}, time.Time{})
		r := do(t, e.client("billing", ""), "POST", "https://"+acme+"/cometd/65.0", strings.NewReader(
			`[{"id":"7","channel":"/meta/connect","clientId":"c"},{"id":8,"channel":"/meta/subscribe","subscription":"/topic/x"}]`))
		var got []struct {
			ID           any             `json:"id"`
			Channel      string          `json:"channel"`
			Subscription string          `json:"subscription"`
			Successful   *bool           `json:"successful"`
			Error        string          `json:"error"`
			Advice       json.RawMessage `json:"advice"`
		}
		if err := json.Unmarshal([]byte(r.body), &got); err != nil || len(got) != 2 {
			t.Fatalf("%v: %s", err, r.body)
		}
		if got[0].ID != "7" || got[0].Channel != "/meta/connect" || got[1].ID != 8.0 || got[1].Subscription != "/topic/x" {
			t.Errorf("%s", r.body)
		}
		for _, m := range got {
			if m.Successful == nil || *m.Successful || !strings.Contains(m.Error, "SALLYPORT_"+strings.ToUpper(string(tt.code))) || string(m.Advice) != tt.advice {
				t.Errorf("%s: %s %s", tt.code, m.Error, m.Advice)
			}
		}
	}
}
