package proxy_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/proxy/access"
)

// What an attacker with one client's credentials tried.
func TestWhatIsJudgedIsWhatIsSent(t *testing.T) {
	e := start(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Seen", r.Method+" "+r.URL.RawQuery)
		for name := range r.Trailer {
			w.Header().Add("Trailers-Seen", name)
		}
	})
	url := "https://" + acme + data
	for _, p := range protocols {
		c := e.client("billing", p)
		t.Run(p+" a compressed body that must be looked into", func(t *testing.T) {
			var z bytes.Buffer
			w := gzip.NewWriter(&z)
			_, _ = io.WriteString(w, `{"compositeRequest":[{"url":"/services/data/v65.0/query?q=SELECT+Id+FROM+AuthSession"}]}`)
			_ = w.Close()
			do(t, c, "POST", url+"composite", &z, "Content-Encoding", "gzip").wantError(t, 403, access.RequestNotAllowed)
			if r := do(t, c, "POST", url+"sobjects/Account", strings.NewReader("x"), "Content-Encoding", "gzip"); r.StatusCode != 200 {
				t.Errorf("a compressed body that nobody looks into: %d %s", r.StatusCode, r.body)
			}
		})
		t.Run(p+" trailers that carry credentials", func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), "POST", url, io.MultiReader(strings.NewReader("x")))
			if err != nil {
				t.Fatal(err)
			}
			r.Trailer = http.Header{"Sum": {"42"}, "X-Sfdc-Session": {"its-own"}, "Sallyport-Org": {"acme"}}
			if p != "HTTP/2.0" { // whose server refuses it by itself
				r.Trailer.Set("Authorization", "Bearer its-own")
			}
			resp, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if got := resp.Header.Values("Trailers-Seen"); len(got) != 1 || got[0] != "Sum" {
				t.Errorf("Salesforce saw the trailers %v", got)
			}
		})
	}
	t.Run("an override that leaves with the connection", func(t *testing.T) {
		e.inside().say("POST", "POST "+data+" HTTP/1.1\r\nHost: "+acme+"\r\nX-HTTP-Method-Override: PATCH\r\nConnection: x-http-method-override\r\nContent-Length: 0\r\n\r\n").
			wantError(t, 400, access.BadRequest)
	})
	t.Run("a query that ends the request line", func(t *testing.T) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.RawQuery = "a b HTTP/1.1"
		resp, err := e.client("billing", "HTTP/2.0").Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != 400 {
			t.Errorf("%d, Salesforce saw %q", resp.StatusCode, resp.Header.Get("Seen"))
		}
	})
	t.Run("a Bulk answer that quotes a dead session's code", func(t *testing.T) {
		n := 0
		e := start(t, func(w http.ResponseWriter, r *http.Request) {
			n++
			w.WriteHeader(400)
			_, _ = io.WriteString(w, `<error><exceptionCode>InvalidEntity</exceptionCode><exceptionMessage>no such object: InvalidSessionId</exceptionMessage></error>`)
		})
		r := do(t, e.client("billing", ""), "POST", "https://"+acme+"/services/async/65.0/job", strings.NewReader("<jobInfo/>"))
		if r.StatusCode != 400 || n != 1 {
			t.Errorf("%d after %d calls, want the answer as it is", r.StatusCode, n)
		}
	})
}
