package proxy_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const invalidSession = `[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]`

func TestARequestGetsTheOrgsToken(t *testing.T) {
	e := start(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, "%s %s %s %s %s", r.Method, r.Host, r.URL, r.Header.Get("Authorization"), body)
	})
	for _, p := range protocols {
		t.Run(p, func(t *testing.T) {
			r := do(t, e.client("billing", p), "POST", "https://"+acme+data+"sobjects/Account?a=%20b", strings.NewReader("hello"),
				"Authorization", "Bearer stolen")
			want := "POST " + acme + " " + data + "sobjects/Account?a=%20b Bearer acme-1 hello"
			if r.StatusCode != 200 || r.body != want || r.Proto != p {
				t.Errorf("%d %s %q", r.StatusCode, r.Proto, r.body)
			}
		})
	}
	if !strings.Contains(e.log.String(), "client=billing org=acme") || strings.Contains(e.log.String(), "%20b") {
		t.Errorf("access log: %s", e.log)
	}
}

func TestWhatIsForwarded(t *testing.T) {
	got := make(chan *http.Request, 1)
	e := start(t, func(_ http.ResponseWriter, r *http.Request) { got <- r })
	for _, p := range protocols {
		t.Run(p, func(t *testing.T) {
			do(t, e.client("billing", p), "GET", "https://"+acme+"/"+data+"query?sid=1&q=a&OAUTH_token=2&%73id=3&access_token=4&b=%41", nil,
				"Authorization", "OAuth stolen", "X-SFDC-Session", "stolen", "Proxy-Authorization", "Basic x", "accesstoken", "stolen",
				"Cookie", "sid=stolen; BrowserId=abc; sid_Client=x", "X-Forwarded-For", "10.0.0.1", "Forwarded", "for=x", "Via", "1.1 x",
				"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Tracestate", "a=b", "Baggage", "a=b",
				"Sallyport-Org", "acme", "Accept-Encoding", "br", "Sforce-Call-Options", "client=x", "User-Agent", "")
			r := <-got
			if r.URL.String() != data+"query?q=a&b=%41" {
				t.Errorf("path and query: %s", r.URL)
			}
			want := http.Header{
				"Authorization": {"OAuth acme-1"}, "Cookie": {"BrowserId=abc"}, "Accept-Encoding": {"br"}, "Sforce-Call-Options": {"client=x"},
			}
			if diff := cmp.Diff(want, r.Header); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBulkV1CarriesItsSessionInItsOwnHeader(t *testing.T) {
	got := make(chan http.Header, 1)
	e := start(t, func(_ http.ResponseWriter, r *http.Request) { got <- r.Header })
	do(t, e.client("billing", ""), "GET", "https://"+acme+"/services/async/65.0/job/750", nil, "X-SFDC-Session", "stolen")
	if h := <-got; h.Get("X-SFDC-Session") != "acme-1" || h.Get("Authorization") != "" {
		t.Errorf("got %v", h)
	}
}

func TestWhatComesBack(t *testing.T) {
	e := start(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Set-Cookie", "sid=secret; Path=/")
		h.Add("Set-Cookie", "BrowserId=abc")
		h.Set("Sforce-Limit-Info", "api-usage=18/5000")
		h.Set("Sallyport-Error", "forged")
		switch r.URL.Path {
		case data + "a":
			h.Set("Location", "/x?sid=secret&a=b")
			w.WriteHeader(302)
		case data + "b":
			h.Set("Location", "/secur/frontdoor.jsp;sid=secret")
			w.WriteHeader(302)
		case data + "c":
			h.Set("Location", "https://acme.my.salesforce.com/x?a=b")
			w.WriteHeader(302)
		case data + "f":
			h.Set("Location", "/x?ret=%2Fy%3Fsid%3Dsecret")
			w.WriteHeader(302)
		case data + "g":
			h["Location"] = []string{"/x", "/x?sid=secret"}
			w.WriteHeader(302)
		case data + "d":
			w.WriteHeader(204)
		case data + "e":
			h.Set("Content-Length", "7")
			h["Content-Type"] = nil
			if r.Method == "GET" {
				io.WriteString(w, "<html>x")
			}
		}
	})
	c := e.client("billing", "")
	for _, tt := range []struct {
		name, path, location string
		status               int
	}{
		{"a session leaves a Location", "a", "/x?a=b", 302},
		{"a Location with a session elsewhere goes whole", "b", "", 302},
		{"another Location stays", "c", "https://acme.my.salesforce.com/x?a=b", 302},
		{"a Location with an escaped one within goes whole", "f", "", 302},
		{"several Locations go", "g", "", 302},
		{"an answer without a body", "d", "", 204},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := do(t, c, "GET", "https://"+acme+data+tt.path, nil)
			if r.StatusCode != tt.status || r.Header.Get("Location") != tt.location {
				t.Errorf("%d, Location %q", r.StatusCode, r.Header.Get("Location"))
			}
			if diff := cmp.Diff([]string{"BrowserId=abc"}, r.Header["Set-Cookie"]); diff != "" {
				t.Error(diff)
			}
			if r.Header.Get("Sallyport-Error") != "" || r.Header.Get("Sforce-Limit-Info") == "" {
				t.Errorf("header %v", r.Header)
			}
		})
	}
	for _, method := range []string{"HEAD", "GET"} {
		r := do(t, c, method, "https://"+acme+data+"e", nil)
		if r.ContentLength != 7 || (method == "GET") != (r.body == "<html>x") || r.Header.Get("Content-Type") != "" {
			t.Errorf("%s: length %d, body %q, type %q", method, r.ContentLength, r.body, r.Header.Get("Content-Type"))
		}
	}
}

func zipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, s)
	z.Close()
	return b.String()
}

func TestADeadSessionIsCured(t *testing.T) {
	const bulk = "/services/async/65.0/job/750"
	const bulkDead = `<error xmlns="http://www.force.com/2009/06/asyncapi/dataload"><exceptionCode>InvalidSessionId</exceptionCode></error>`
	for _, tt := range []struct {
		name, path string
		status     int
		body       string
		encoding   string
		cured      bool
	}{
		{"REST", data + "limits", 401, invalidSession, "", true},
		{"REST in gzip", data + "limits", 401, zipped(invalidSession), "gzip", true},
		{"REST in XML", data + "limits", 401, "<Errors><Error><errorCode>INVALID_SESSION_ID</errorCode></Error></Errors>", "", true},
		{"CometD", "/cometd/65.0", 401, invalidSession, "", true},
		{"Bulk v1", bulk, 400, bulkDead, "", true},
		{"Bulk v1 in JSON", bulk, 400, `{"exceptionCode":"InvalidSessionId"}`, "", true},
		{"userinfo", "/services/oauth2/userinfo", 403, "Bad_OAuth_Token", "", true},
		{"an identity URL", "/id/00D/005", 403, "Bad_OAuth_Token", "", true},
		{"not another 401", data + "limits", 401, `[{"errorCode":"INVALID_AUTH_HEADER"}]`, "", false},
		{"not an API that the user may not call", data + "limits", 401, `[{"message":"This session is not valid for use with the REST API","errorCode":"INVALID_SESSION_ID"}]`, "", false},
		{"not an app that is not attached", data + "limits", 401, `[{"message":"Connected app is not attached to Agent","errorCode":"INVALID_SESSION_ID"}]`, "", false},
		{"not a 400 of REST", data + "limits", 400, "InvalidSessionId", "", false},
		{"not a 403 of REST", data + "limits", 403, "Bad_OAuth_Token", "", false},
		{"not a limit", data + "limits", 403, `[{"errorCode":"REQUEST_LIMIT_EXCEEDED"}]`, "", false},
		{"not what comes after 64 KiB", data + "limits", 401, strings.Repeat(" ", 64<<10) + invalidSession, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := start(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if strings.HasSuffix(r.Header.Get("Authorization")+r.Header.Get("X-SFDC-Session"), "acme-1") {
					if tt.encoding != "" {
						w.Header().Set("Content-Encoding", tt.encoding)
					}
					w.WriteHeader(tt.status)
					io.WriteString(w, tt.body)
					return
				}
				fmt.Fprintf(w, "cured %s", body)
			})
			r := do(t, e.client("billing", ""), "POST", "https://"+acme+tt.path, strings.NewReader("the body"))
			if tt.cured && (r.StatusCode != 200 || r.body != "cured the body") {
				t.Errorf("not cured: %d %s", r.StatusCode, r.body)
			}
			if !tt.cured && (r.StatusCode != tt.status || r.body != tt.body) {
				t.Errorf("not passed on: %d, %d bytes", r.StatusCode, len(r.body))
			}
			if replaced := len(e.tokens.replaced) == 1; replaced != tt.cured {
				t.Errorf("replaced: %v", replaced)
			}
		})
	}
}
