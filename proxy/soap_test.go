package proxy_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/access"
	"github.com/sallyport/sallyport/tokens"
)

const (
	partner  = "/services/Soap/u/65.0"
	deadSOAP = `<?xml version="1.0"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:sf="urn:fault.partner.soap.sforce.com">` +
		`<soapenv:Body><soapenv:Fault><faultcode>sf:INVALID_SESSION_ID</faultcode><faultstring>INVALID_SESSION_ID: Invalid Session ID found in ` +
		`SessionHeader: Illegal Session</faultstring></soapenv:Fault></soapenv:Body></soapenv:Envelope>`
)

// envelope is a call of the partner API, with a session if there is one.
func envelope(session, body string) string {
	head := ""
	if session != "" {
		head = "<s:Header><SessionHeader><sessionId>" + session + "</sessionId></SessionHeader></s:Header>"
	}
	return `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com">` + head +
		"<s:Body>" + body + "</s:Body></s:Envelope>"
}

func query(soql string) string { return "<query><queryString>" + soql + "</queryString></query>" }

func gzipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, s)
	z.Close()
	return b.String()
}

// soapServer is Salesforce: it tells what it got, and refuses acme-1 if it is dead.
type soapServer struct {
	calls atomic.Int32
	dead  atomic.Bool
}

var sessionID = regexp.MustCompile(`<sessionId>([^<]*)</sessionId>`)

func (s *soapServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.calls.Add(1)
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		body = z
	}
	b, err := io.ReadAll(body)
	if err != nil {
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	if m := sessionID.FindSubmatch(b); s.dead.Load() && m != nil && string(m[1]) == "acme-1" {
		w.WriteHeader(http.StatusInternalServerError)
		io.WriteString(w, deadSOAP)
		return
	}
	w.Header().Set("Length", fmt.Sprint(r.ContentLength))
	w.Header().Set("Auth", r.Header.Get("Authorization"))
	w.Write(b)
}

var asXML = []string{"Content-Type", "text/xml; charset=UTF-8", "SOAPAction", `""`}

func soapCall(t *testing.T, c *http.Client, path string, body io.Reader, header ...string) result {
	t.Helper()
	return do(t, c, "POST", "https://"+acme+path, body, append(header, asXML...)...)
}

func TestSOAPGetsTheOrgsSession(t *testing.T) {
	s := &soapServer{}
	e := start(t, s.ServeHTTP)
	for _, p := range protocols {
		c := e.client("billing", p)
		for _, path := range []string{partner, "/services/Soap/c/65.0/0DF000", "/services/Soap/m/65.0", "/services/Soap/T/65.0", "/services/Soap/class/Orders"} {
			sent, want := envelope("dummy", query("SELECT Id FROM Account")), envelope("acme-1", query("SELECT Id FROM Account"))
			r := soapCall(t, c, path, strings.NewReader(sent), "Authorization", "Bearer stolen")
			if r.StatusCode != 200 || r.body != want || r.Header.Get("Length") != fmt.Sprint(len(want)) || r.Header.Get("Auth") != "" {
				t.Errorf("%s %s: %d %q, length %s", p, path, r.StatusCode, r.body, r.Header.Get("Length"))
			}
			r = soapCall(t, c, path, io.MultiReader(strings.NewReader(sent)))
			if r.StatusCode != 200 || r.body != want || r.Header.Get("Length") != "-1" {
				t.Errorf("%s %s, chunked: %d %q, length %s", p, path, r.StatusCode, r.body, r.Header.Get("Length"))
			}
			r = soapCall(t, c, path, strings.NewReader(gzipped(sent)), "Content-Encoding", "gzip")
			if r.StatusCode != 200 || r.body != want || r.Header.Get("Length") != "-1" {
				t.Errorf("%s %s, gzip: %d %q, length %s", p, path, r.StatusCode, r.body, r.Header.Get("Length"))
			}
		}
	}
}

func TestADeadSOAPSessionIsCured(t *testing.T) {
	s := &soapServer{}
	s.dead.Store(true)
	e := start(t, s.ServeHTTP, func(o *proxy.Options) { o.MaxReplayBody = 100 << 10 })
	large := "<create><x>" + strings.Repeat("x", 200<<10) + "</x></create>"
	for _, p := range protocols {
		for _, encode := range []func(string) string{strings.Clone, gzipped} {
			e.tokens.mu.Lock()
			e.tokens.n["acme"] = 0
			e.tokens.mu.Unlock()
			var header []string
			if encode("") != "" {
				header = []string{"Content-Encoding", "gzip"}
			}
			s.calls.Store(0)
			r := soapCall(t, e.client("billing", p), partner, strings.NewReader(encode(envelope("dummy", query("SELECT Id")))), header...)
			if r.StatusCode != 200 || r.body != envelope("acme-2", query("SELECT Id")) || s.calls.Load() != 2 {
				t.Errorf("%s: %d %s, %d calls", p, r.StatusCode, r.body, s.calls.Load())
			}
			<-e.tokens.replaced
			e.tokens.mu.Lock()
			e.tokens.n["acme"] = 0
			e.tokens.mu.Unlock()
			r = soapCall(t, e.client("billing", p), partner, strings.NewReader(encode(envelope("dummy", large))), header...)
			if r.StatusCode != 500 || r.body != deadSOAP {
				t.Errorf("%s, large: %d %d bytes", p, r.StatusCode, len(r.body))
			}
			<-e.tokens.replaced // In the background.
		}
	}
}

type jwtTokens struct{ *fakeTokens }

func (j jwtTokens) Token(context.Context, tokens.OrgID) (tokens.Token, error) {
	return tokens.Token{Access: secret.NewText("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln")}, nil
}

func TestSOAPWithAJWTIsRefused(t *testing.T) {
	s := &soapServer{}
	e := start(t, s.ServeHTTP, func(o *proxy.Options) { o.Tokens = jwtTokens{o.Tokens.(*fakeTokens)} })
	r := soapCall(t, e.client("billing", ""), partner, strings.NewReader(envelope("dummy", query("SELECT Id"))))
	wantFault(t, r, 502, "org_misconfigured")
	if s.calls.Load() != 0 || !strings.Contains(r.body, "isNamedUserJwtEnabled") || strings.Contains(r.body, "eyJ") {
		t.Errorf("%d calls, %s", s.calls.Load(), r.body)
	}
}

func wantFault(t *testing.T, r result, status int, code access.Code) {
	t.Helper()
	if r.StatusCode != status || r.Header.Get("Sallyport-Error") != string(code) ||
		!strings.Contains(r.body, "<faultcode>sf:SALLYPORT_"+strings.ToUpper(string(code))+"</faultcode>") {
		t.Errorf("got %d %s %s, want the fault %d %s", r.StatusCode, r.Header.Get("Sallyport-Error"), r.body, status, code)
	}
}

// What could be read in two ways, or hides what it is, is refused before anything is sent.
func TestEnvelopesThatAreRefused(t *testing.T) {
	s := &soapServer{}
	e := start(t, s.ServeHTTP)
	good := envelope("dummy", query("SELECT Id"))
	for _, tt := range []struct {
		name, body string
		header     []string
	}{
		{"a document type", `<!DOCTYPE x [<!ENTITY e "y">]>` + good, nil},
		{"another encoding", `<?xml version="1.0" encoding="UTF-16"?>` + good, nil},
		{"a header beyond 64 KiB", strings.Replace(good, "<s:Header>", "<s:Header><!--"+strings.Repeat("x", 70<<10)+"-->", 1), nil},
		{"two sessions", strings.Replace(good, "</SessionHeader>", "</SessionHeader><SessionHeader><sessionId>x</sessionId></SessionHeader>", 1), nil},
		{"no session", envelope("", query("SELECT Id")), nil},
		{"what isn't gzip", good, []string{"Content-Encoding", "gzip"}},
		{"three bytes for gzip", "<s:", []string{"Content-Encoding", "gzip"}},
		{"another coding", good, []string{"Content-Encoding", "br"}},
		{"gzip twice", gzipped(gzipped(good)), []string{"Content-Encoding", "gzip, gzip"}},
		{"nothing", "", nil},
		{"half of it", good[:100], nil},
	} {
		for _, p := range protocols {
			t.Run(tt.name+" "+p, func(t *testing.T) {
				wantFault(t, soapCall(t, e.client("billing", p), partner, strings.NewReader(tt.body), tt.header...), 400, access.BadRequest)
			})
		}
	}
	wantFault(t, do(t, e.client("billing", ""), "GET", "https://"+acme+partner, nil), 400, access.BadRequest)
	if n := s.calls.Load(); n != 0 {
		t.Errorf("Salesforce saw %d requests", n)
	}
}

// A fault that shows only while the body streams is told, and Salesforce never gets the whole.
func TestEnvelopesThatTurnOutWrong(t *testing.T) {
	whole := make(chan string, 10)
	e := start(t, func(_ http.ResponseWriter, r *http.Request) {
		// What only lacks its end is no XML for Salesforce either.
		if b, err := io.ReadAll(r.Body); err == nil && (r.Header.Get("Content-Encoding") != "" || bytes.HasSuffix(b, []byte("</s:Envelope>"))) {
			whole <- string(b)
		}
	})
	filler := "<create><x>" + strings.Repeat("0123456789abcdef", 8<<10) + "</x></create>"
	late := envelope("dummy", filler)
	random := make([]byte, 128<<10)
	for i, x := 0, uint32(1); i < len(random); i++ {
		x = x*1664525 + 1013904223
		random[i] = 'a' + byte(x>>24)%26
	}
	packed := []byte(gzipped(envelope("dummy", "<create><x>"+string(random)+"</x></create>")))
	packed[len(packed)-6]++ // Of the checksum.
	for _, tt := range []struct {
		name, body string
		header     []string
	}{
		{"a second session behind the body", strings.Replace(late, "</s:Body>", "</s:Body><s:Header><SessionHeader><sessionId>x</sessionId></SessionHeader></s:Header>", 1), nil},
		{"an end that is missing", strings.TrimSuffix(late, "</s:Envelope>"), nil},
		{"a second operation", strings.Replace(late, "</s:Body>", "<logout/></s:Body>", 1), nil},
		{"a checksum that is wrong", string(packed), []string{"Content-Encoding", "gzip"}},
		{"gzip that ends early", string(packed[:len(packed)-100]), []string{"Content-Encoding", "gzip"}},
	} {
		for _, p := range protocols {
			t.Run(tt.name+" "+p, func(t *testing.T) {
				wantFault(t, soapCall(t, e.client("billing", p), partner, strings.NewReader(tt.body), tt.header...), 400, access.BadRequest)
			})
		}
	}
	select {
	case b := <-whole:
		t.Errorf("Salesforce got %d bytes as if they were whole", len(b))
	default:
	}
}

// Names of what reveals sessions are found in SOAP as in REST, however they are written.
func TestSOAPIsScanned(t *testing.T) {
	s := &soapServer{}
	e := start(t, s.ServeHTTP)
	if _, err := e.registry.Apply(t.Context(), registry.Change{Clients: []registry.ClientChange{
		allowed("trusted", registry.AllowAuthSession, registry.AllowOauthToken, registry.AllowExecuteAnonymous, registry.AllowApexSOAP),
		allowed("apex", registry.AllowApexSOAP),
	}}); err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat(" ", 200<<10)
	for _, tt := range []struct {
		name, client, path, body string
		refused                  bool
	}{
		{"a query", "billing", partner, query("SELECT Id FROM Account"), false},
		{"AuthSession", "billing", partner, query("SELECT Id FROM authsession"), true},
		{"OauthToken", "billing", "/services/Soap/c/65.0", query("SELECT Id FROM OauthToken"), true},
		{"by a character reference", "billing", partner, query("SELECT Id FROM &#x41;uth&#0083;ession"), true},
		{"in CDATA", "billing", partner, query("SELECT Id FROM Auth<![CDATA[Session]]>"), true},
		{"around a comment", "billing", partner, query("SELECT Id FROM Auth<!-- -->Session"), true},
		{"far behind", "billing", partner, query(large + "SELECT Id FROM AuthSession"), true},
		{"retrieve", "billing", partner, "<retrieve><fieldList>Id</fieldList><sObjectType>AuthSession</sObjectType></retrieve>", true},
		{"search", "billing", partner, "<search><searchString>FIND {x} RETURNING AuthSession</searchString></search>", true},
		{"for a client that may", "trusted", partner, query("SELECT Id FROM Auth<!-- -->Session"), false},
		{"executeAnonymous by the Tooling API", "billing", "/services/Soap/T/65.0", "<executeAnonymous><String>x</String></executeAnonymous>", true},
		{"executeAnonymous by the Apex API", "apex", "/services/Soap/s/65.0", "<executeAnonymous><String>x</String></executeAnonymous>", true},
		{"executeAnonymous for a client that may", "trusted", "/services/Soap/s/65.0", "<executeAnonymous><String>x</String></executeAnonymous>", false},
		{"the Apex API", "billing", "/services/Soap/s/65.0", "<runTests/>", true},
		{"the Apex API in other letters", "billing", "/services/soap/S/65.0", "<runTests/>", true},
		{"a record's text is data", "billing", partner, "<create><x><![CDATA[AuthSession]]> <!-- y --> /services/oauth2/token</x></create>", false},
		{"an address in a query", "billing", partner, query("SELECT Id FROM X WHERE U='https://x/services/oauth2/token'"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			calls := s.calls.Load()
			r := soapCall(t, e.client(tt.client, ""), tt.path, strings.NewReader(envelope("dummy", tt.body)))
			if !tt.refused {
				if r.StatusCode != 200 {
					t.Errorf("%d %s", r.StatusCode, r.body)
				}
				return
			}
			wantFault(t, r, 403, access.RequestNotAllowed)
			if len(tt.body) < 1000 && s.calls.Load() != calls {
				t.Error("Salesforce saw it")
			}
		})
	}
	t.Run("compressed", func(t *testing.T) {
		r := soapCall(t, e.client("billing", ""), partner, strings.NewReader(gzipped(envelope("d", query("SELECT Id FROM AuthSession")))), "Content-Encoding", "gzip")
		wantFault(t, r, 403, access.RequestNotAllowed)
	})
}

// allowed is a client with the secret "pass", and what it may.
func allowed(name string, allow ...string) registry.ClientChange {
	c := client(name, func(c *registry.Client) { c.Allow = allow })
	c.Secret = secret.NewText("pass")
	return c
}

// A SOAP login is answered here, and nothing that ends a session reaches Salesforce.
func TestSOAPSessionsAreSallyports(t *testing.T) {
	s := &soapServer{}
	e := start(t, s.ServeHTTP)
	c := e.client("billing", "")
	login := "<login><username>joe</username><password><![CDATA[p]]></password></login>"
	for _, path := range []string{partner, "/services/Soap/c/64.0", "/services/soap/U/65.0/00D000"} {
		r := soapCall(t, c, path, strings.NewReader(envelope("", login)))
		m := sessionID.FindStringSubmatch(r.body)
		if r.StatusCode != 200 || m == nil || !strings.HasPrefix(m[1], orgID+"!") || !strings.Contains(r.body, "<serverUrl>https://acme.my.salesforce.com/services/Soap/") {
			t.Fatalf("%s: %d %s", path, r.StatusCode, r.body)
		}
		if r := soapCall(t, c, path, strings.NewReader(envelope(m[1], "<logout/>"))); r.StatusCode != 200 || !strings.Contains(r.body, "logoutResponse") {
			t.Errorf("%s: %d %s", path, r.StatusCode, r.body)
		}
		wantFault(t, soapCall(t, c, path, strings.NewReader(envelope(m[1], "<invalidateSessions/>"))), 403, access.RequestNotAllowed)
	}
	for _, path := range []string{"/services/Soap/T/65.0", "/services/Soap/m/65.0", "/services/Soap/u/65.00", "/services/Soap/u"} {
		for _, body := range []string{login, "<logout/>", "<x:logout xmlns:x='urn:x'/>", "<invalidateSessions/>"} {
			wantFault(t, soapCall(t, c, path, strings.NewReader(envelope("dummy", body))), 403, access.RequestNotAllowed)
		}
	}
	if n := s.calls.Load(); n != 0 {
		t.Errorf("Salesforce saw %d requests", n)
	}
	if r := soapCall(t, c, "/services/Soap/class/Orders", strings.NewReader(envelope("dummy", "<logout/>"))); r.StatusCode != 200 {
		t.Errorf("an org's own web service: %d %s", r.StatusCode, r.body)
	}
	e.tokens.set(&tokens.Error{Code: tokens.CodeReauthRequired}, time.Time{})
	wantFault(t, soapCall(t, c, partner, strings.NewReader(envelope("", login))), 502, "reauth_required")
}

// repeated gives n bytes of text and an end.
type repeated struct {
	left int
	end  io.Reader
}

func (r *repeated) Read(b []byte) (int, error) {
	if r.left == 0 {
		return r.end.Read(b)
	}
	n := min(len(b), r.left)
	for i := range b[:n] {
		b[i] = 'x'
	}
	r.left -= n
	return n, nil
}

func TestALargeEnvelopeTakesConstantMemory(t *testing.T) {
	const size = 96 << 20
	var peak atomic.Uint64
	e := start(t, func(_ http.ResponseWriter, r *http.Request) {
		buf, n := make([]byte, 64<<10), 0
		for {
			m, err := r.Body.Read(buf)
			if n += m; n>>24 != (n-m)>>24 {
				runtime.GC()
				var s runtime.MemStats
				runtime.ReadMemStats(&s)
				peak.Store(max(peak.Load(), s.HeapAlloc))
			}
			if errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return
			}
		}
		if n < size {
			panic(http.ErrAbortHandler)
		}
	})
	before, after, _ := strings.Cut(envelope("dummy", "<create><x>CUT</x></create>"), "CUT")
	body := io.MultiReader(strings.NewReader(before), &repeated{size, strings.NewReader(after)})
	if r := soapCall(t, e.client("billing", ""), partner, body); r.StatusCode != 200 {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	if p := peak.Load(); p == 0 || p > 24<<20 {
		t.Errorf("%d MiB are in use on the way", p>>20)
	}
}
