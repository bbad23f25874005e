package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/proxy/access"
)

func TestAnAnswerWhoseBodyBreaksAtItsBeginning(t *testing.T) {
	var trip http.RoundTripper
	e := start(t, echo)
	for _, tt := range []struct {
		name, answer string
		begun        string // What the client must see of it, cut; empty: an answer of ours.
	}{
		{"a chunk whose size is none", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", ""},
		{"the end before a sized body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", ""},
		{"a broken chunk behind one", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\nzz\r\n", "part"},
		{"the end within a sized body", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart", "part"},
		{"a head that is too large to take back", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 20<<10) + "\r\nContent-Length: 5\r\n\r\n", "-"},
	} {
		trip, _ = answering(t, func(_ int, c net.Conn, r *bufio.Reader) {
			if request(r) {
				io.WriteString(c, tt.answer)
			}
		})
		e.upstream.trip = func(r *http.Request) (*http.Response, error) {
			out := r.Clone(r.Context())
			out.URL.Host, out.Host = "example.com", "example.com"
			return trip.RoundTrip(out)
		}
		for _, p := range protocols {
			for _, method := range []string{"GET", "POST"} { // In the lane, and not.
				t.Run(fmt.Sprint(tt.name, " ", p, " ", method), func(t *testing.T) {
					c := e.client("billing", p)
					if tt.begun == "" {
						do(t, c, method, "https://"+acme+data, nil).wantError(t, 502, "upstream_unreachable")
						return
					}
					r, err := http.NewRequestWithContext(t.Context(), method, "https://"+acme+data, nil)
					if err != nil {
						t.Fatal(err)
					}
					resp, err := c.Do(r)
					if err != nil {
						t.Fatalf("nothing of an answer: %v", err)
					}
					defer resp.Body.Close()
					b, err := io.ReadAll(resp.Body)
					if tt.begun == "-" && (resp.StatusCode == 502 || err != nil) {
						return
					}
					if string(b) != tt.begun || err == nil {
						t.Errorf("%d %q, %v", resp.StatusCode, b, err)
					}
				})
			}
		}
	}
}

func TestCredentialsAndOrgsOfAConnectMustBeClear(t *testing.T) {
	e := start(t, echo)
	head := "CONNECT " + acme + ":443 HTTP/1.1\r\nHost: x\r\n"
	e.dial().say("CONNECT", head+basic("billing", "pass")+basic("reader", "pass")+"\r\n").wantError(t, 407, access.ProxyAuthRequired)
	c := e.dial()
	if r := c.say("CONNECT", head+basic("both", "pass")+"Sallyport-Org: acme\r\nSallyport-Org: acme-too\r\n\r\n"); r.StatusCode != 200 {
		t.Fatalf("what is wrong is said inside: %d", r.StatusCode)
	}
	e.encrypt(c).say("GET", get+"\r\n").wantError(t, 400, access.OrgAmbiguous)
}
