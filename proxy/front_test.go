package proxy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/access"
)

// direct is the head of a request by base URL as billing, without its end.
func direct(method, path string) string {
	return method + " /org/acme" + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: " + shown("billing", "pass") + "\r\n"
}

// The pause of an answer is Salesforce's: it counts for no limit of the client's.
func TestAnAnswerByBaseURLMayPause(t *testing.T) {
	const stall = 200 * time.Millisecond
	e := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("sized") {
			w.Header().Set("Content-Length", "6")
		}
		io.WriteString(w, "one")
		w.(http.Flusher).Flush()
		<-time.After(3 * stall)
		if r.URL.Query().Has("sized") {
			io.WriteString(w, "two")
		}
	}, func(o *proxy.Options) { o.StallTimeout = stall })
	for query, want := range map[string]string{"": "one", "?sized": "onetwo"} {
		if r := e.dial().say("GET", direct("GET", data+query)+"\r\n"); r.StatusCode != 200 || r.body != want {
			t.Errorf("%q: %d %q", query, r.StatusCode, r.body)
		}
	}
}

func TestSOAPByBaseURL(t *testing.T) {
	s := &soapServer{}
	e := start(t, s.ServeHTTP)
	base := "http://" + e.addr + "/org/acme"
	call := func(body string, header ...string) result {
		return do(t, &http.Client{}, "POST", base+partner, strings.NewReader(body), append(header, asXML...)...)
	}
	ask := query("SELECT Id FROM Account")
	r := call(envelope("", "<login><username>billing</username><password>pass</password></login>"))
	m := sessionID.FindStringSubmatch(r.body)
	if m == nil || !strings.Contains(r.body, "<serverUrl>"+base+"/services/Soap/u/65.0/") {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	for _, session := range []string{"billing:pass", "billing+acme:pass", m[1]} {
		if r := call(envelope(session, ask)); r.body != envelope("acme-1", ask) {
			t.Errorf("%s: %d %s", session, r.StatusCode, r.body)
		}
		if r := call(gzipped(envelope(session, ask)), "Content-Encoding", "gzip"); r.body != envelope("acme-1", ask) {
			t.Errorf("%s, gzip: %d %s", session, r.StatusCode, r.body)
		}
	}
	if r := do(t, &http.Client{}, "POST", base+"/"+partner, strings.NewReader(envelope("billing:pass", ask)), asXML...); r.body != envelope("acme-1", ask) {
		t.Errorf("a doubled slash: %d %s", r.StatusCode, r.body)
	}
	for name, body := range map[string]string{
		"nobody": envelope("nobody:pass", ask), "a wrong secret": envelope("billing:wrong", ask), "a real token": envelope("00D000!abc", ask),
		"a login": envelope("", "<login><username>billing</username><password>wrong</password></login>"),
	} {
		r := call(body)
		if wantFault(t, r, 401, access.ProxyAuthRequired); r.Header.Get("Www-Authenticate") == "" {
			t.Error(name)
		}
	}
	wantFault(t, call("<!DOCTYPE x>"+envelope("billing:pass", ask)), 400, access.BadRequest)
	wantFault(t, call(envelope("billing:pass", ask), "Content-Encoding", "gzip"), 400, access.BadRequest)
}

func placeholder(t *testing.T, e *env) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"billing"}, "client_secret": {"pass"}}
	r := do(t, &http.Client{}, "POST", "http://"+e.addr+"/org/acme/services/oauth2/token", strings.NewReader(form.Encode()), "Content-Type", "application/x-www-form-urlencoded")
	var got struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(r.body), &got); err != nil {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	return got.AccessToken
}

// A placeholder is good at every replica with the same key, as long as its client is, and for nobody else.
func TestTheLifeOfAPlaceholder(t *testing.T) {
	key := func(o *proxy.Options) { o.PlaceholderKey = bytes.Repeat([]byte{7}, 32) }
	e, other, foreign := start(t, saw, key), start(t, saw, key), start(t, saw)
	held := placeholder(t, e)
	use := func(e *env) result {
		return do(t, &http.Client{}, "GET", "http://"+e.addr+"/org/acme"+data, nil, "Authorization", "Bearer "+held)
	}
	if r := use(other); r.body != "Bearer acme-1" {
		t.Errorf("at a replica: %d %s", r.StatusCode, r.body)
	}
	use(foreign).wantError(t, 401, access.ProxyAuthRequired)
	if r := do(t, e.client("both+acme", ""), "GET", "https://"+acme+data, nil, "Authorization", "Bearer "+held); r.body != "Bearer acme-1" {
		t.Errorf("of another client, in a tunnel: %d %s", r.StatusCode, r.body)
	}
	disabled := client("billing", func(c *registry.Client) { c.Disabled = true })
	if _, err := e.registry.Apply(t.Context(), registry.Change{Clients: []registry.ClientChange{disabled}}); err != nil {
		t.Fatal(err)
	}
	use(e).wantError(t, 401, access.ProxyAuthRequired)
}

func TestAClientThatIsDisabledLosesItsDirectRequest(t *testing.T) {
	entered, cancelled := make(chan bool, 1), make(chan bool, 1)
	e := start(t, func(_ http.ResponseWriter, r *http.Request) {
		entered <- true
		<-r.Context().Done()
		cancelled <- true
	})
	c := e.dial()
	io.WriteString(c, direct("GET", data)+"\r\n")
	<-entered
	disabled := client("billing", func(c *registry.Client) { c.Disabled = true })
	if _, err := e.registry.Apply(t.Context(), registry.Change{Clients: []registry.ClientChange{disabled}}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-cancelled:
	case <-time.After(5 * time.Second):
		t.Error("the request goes on")
	}
	if _, err := c.r.ReadByte(); err == nil {
		t.Error("an answer came")
	}
}

// The drain waits for the end of a direct answer, to its last byte.
func TestDrainWaitsForADirectRequest(t *testing.T) {
	entered, leave := make(chan bool), make(chan bool)
	e := start(t, func(w http.ResponseWriter, _ *http.Request) {
		entered <- true
		<-leave
		io.WriteString(w, "done")
	})
	c, answer, drained := e.dial(), make(chan result, 1), make(chan error, 1)
	kept := e.dial()
	if r := kept.say("GET", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); r.StatusCode != 400 {
		t.Errorf("%d", r.StatusCode)
	}
	go func() { answer <- c.say("GET", direct("GET", data)+"\r\n") }() // Ends with its answer.
	<-entered
	go func() { drained <- e.server.Drain(t.Context()) }() // Ends with the request under way.
	for {
		r := kept.say("GET", "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if r.StatusCode == 503 {
			r.wantError(t, 503, "shutting_down")
			break
		}
	}
	close(leave)
	if r := <-answer; r.StatusCode != 200 || r.body != "done" {
		t.Errorf("%d %q", r.StatusCode, r.body)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// A client that is nobody yet can't hold a connection by a body that never comes.
func TestADirectUploadThatStalls(t *testing.T) {
	e := start(t, echo, func(o *proxy.Options) { o.StallTimeout = 100 * time.Millisecond })
	for name, head := range map[string]string{
		"a login":     "POST /org/acme" + partner + " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/xml\r\n",
		"a token":     "POST /org/acme/services/oauth2/token HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n",
		"by a client": direct("POST", data),
	} {
		c := e.dial()
		if r := c.say("POST", head+"Content-Length: 100\r\n\r\n<"); r.StatusCode != 400 || !r.Close {
			t.Errorf("%s: %d %v", name, r.StatusCode, r.Close)
		}
		if _, err := c.r.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := e.inside() // Of a client that is known, the virtual endpoint too.
	c.say("POST", "POST /services/oauth2/token HTTP/1.1\r\nHost: "+acme+"\r\nContent-Length: 100\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n<")
	if _, err := c.r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// What two servers could read in two ways doesn't come through.
func TestDirectRequestsThatNoClientShouldSend(t *testing.T) {
	e := start(t, saw)
	credentials := basic("billing", "pass")
	for _, tt := range []struct {
		name, head string
		status     int
	}{
		{"two lengths", direct("POST", data) + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
		{"a user in the URL", "GET http://evil@" + acme + data + " HTTP/1.1\r\nHost: " + acme + "\r\n" + credentials + "\r\n", 400},
		{"another host behind a user", "GET http://" + acme + "@evil.example" + data + " HTTP/1.1\r\nHost: " + acme + "\r\n" + credentials + "\r\n", 400},
		{"https in absolute form", "GET https://" + acme + data + " HTTP/1.1\r\nHost: " + acme + "\r\n" + credentials + "\r\n", 403},
		{"an encoded slash", direct("GET", "/services%2fdata/") + "\r\n", 400},
		{"a backslash", direct("GET", `/services\..\`) + "\r\n", 400},
		{"TRACE", direct("TRACE", data) + "\r\n", 400},
		{"an upgrade", direct("GET", data) + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 403},
		{"two credentials", direct("GET", data) + "Authorization: Bearer x\r\n\r\n", 400},
	} {
		if r := e.dial().say("GET", tt.head); r.StatusCode != tt.status {
			t.Errorf("%s: %d %s", tt.name, r.StatusCode, r.body)
		}
	}
	for name, head := range map[string]string{
		"Host is another":        "GET http://" + acme + data + " HTTP/1.1\r\nHost: evil.example\r\n" + credentials + "\r\n",
		"doubled slashes":        "GET http://" + acme + "/" + data + " HTTP/1.1\r\nHost: " + acme + "\r\n" + credentials + "\r\n",
		"Java's offer of HTTP/2": direct("GET", data) + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n\r\n",
		"a length beside chunks": strings.Replace(direct("POST", data), "\r\n", "\r\nContent-Length: 3\r\n", 1) + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
	} {
		if r := e.dial().say("GET", head); r.StatusCode != 200 || r.Header.Get("Seen") != acme+" "+data {
			t.Errorf("%s: %d %s %q", name, r.StatusCode, r.body, r.Header.Get("Seen"))
		}
	}
}

// One connection carries one request after the other, and then a tunnel.
func TestDirectRequestsShareTheirConnection(t *testing.T) {
	e := start(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.Header.Get("Authorization"), b)
	})
	c := e.dial()
	io.WriteString(c, direct("GET", data)+"\r\n"+direct("POST", data)+"Content-Length: 2\r\n\r\nhi"+direct("GET", data)+"\r\n")
	for _, want := range []string{"Bearer acme-1 ", "Bearer acme-1 hi", "Bearer acme-1 "} {
		if r := c.hear("GET"); r.body != want {
			t.Errorf("%d %q", r.StatusCode, r.body)
		}
	}
	io.WriteString(c, direct("POST", data)+"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	if r := c.hear("POST"); r.StatusCode != 100 {
		t.Errorf("%d", r.StatusCode)
	}
	if r := c.say("POST", "body"); r.body != "Bearer acme-1 body" {
		t.Errorf("%d %q", r.StatusCode, r.body)
	}
	if r := c.say("CONNECT", "CONNECT "+acme+":443 HTTP/1.1\r\nHost: x\r\n"+basic("billing", "wrong")+"\r\n"); r.StatusCode != 407 {
		t.Errorf("%d", r.StatusCode)
	}
	if r := c.say("GET", direct("GET", data)+"\r\n"); r.StatusCode != 200 {
		t.Errorf("%d", r.StatusCode)
	}
	if r := c.say("CONNECT", "CONNECT "+acme+":443 HTTP/1.1\r\nHost: x\r\n"+basic("billing", "pass")+"\r\n"); r.StatusCode != 200 {
		t.Errorf("%d", r.StatusCode)
	}
}

func TestALimitIsToldByBaseURL(t *testing.T) {
	e := start(t, echo)
	ask := func() result {
		return do(t, &http.Client{}, "GET", "http://"+e.addr+"/org/acme"+data, nil, "Authorization", shown("slow", "pass"))
	}
	if r := ask(); r.StatusCode != 200 {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	ask().wantError(t, 429, "rate_limited")
}
