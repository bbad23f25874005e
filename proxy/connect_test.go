package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/access"
)

func basic(user, pass string) string {
	return "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+pass)) + "\r\n"
}

// raw is a connection to the proxy that speaks by hand.
type raw struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func (e *env) dial() *raw {
	e.t.Helper()
	c, err := net.Dial("tcp", e.addr)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return &raw{c, e.t, bufio.NewReader(c)}
}

// say sends s and reads the answer to a request of that method.
func (c *raw) say(method, s string) result {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatal(err)
	}
	return c.hear(method)
}

func (c *raw) hear(method string) result {
	c.t.Helper()
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatal(err)
	}
	if method == "CONNECT" && resp.StatusCode == 200 {
		return result{resp, ""}
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return result{resp, string(b)}
}

// connect opens a tunnel to target as billing.
func (e *env) connect(target string) *raw {
	e.t.Helper()
	c := e.dial()
	if r := c.say("CONNECT", "CONNECT "+target+" HTTP/1.1\r\nHost: "+target+"\r\n"+basic("billing", "pass")+"\r\n"); r.StatusCode != 200 {
		e.t.Fatalf("CONNECT: %d %s", r.StatusCode, r.body)
	}
	return c
}

func echo(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, r.Header.Get("Authorization"))
}

func TestCredentialsAreAskedForOnTheSameConnection(t *testing.T) {
	e := start(t, echo)
	c := e.dial()
	head := "CONNECT " + acme + ":443 HTTP/1.1\r\nHost: " + acme + ":443\r\n"
	for _, auth := range []string{"", basic("billing", "wrong"), basic("nobody", "pass"), "Proxy-Authorization: Negotiate x\r\n"} {
		r := c.say("CONNECT", head+auth+"\r\n")
		r.wantError(t, 407, access.ProxyAuthRequired)
		if r.Header.Get("Proxy-Authenticate") != `Basic realm="sallyport"` || r.Close {
			t.Errorf("%v, close %v", r.Header, r.Close)
		}
	}
	if r := c.say("CONNECT", head+basic("billing", "pass")+"\r\n"); r.StatusCode != 200 {
		t.Errorf("the right credentials on that connection: %d", r.StatusCode)
	}
}

func TestConnectIsRefusedOnlyForHostsThatNobodyClaims(t *testing.T) {
	e := start(t, echo)
	for _, tt := range []struct {
		target string
		status int
		code   access.Code
	}{
		{"www.bank.example:443", 403, access.HostNotAllowed},
		{"other.my.salesforce.com:443", 403, access.HostNotAllowed},
		{"203.0.113.7:443", 403, access.HostNotAllowed},
		{"[2001:db8::1]:443", 403, access.HostNotAllowed},
		{"acme.my.salesforce.com", 400, access.BadRequest},
		{"acme.my.salesforce.com:0", 400, access.BadRequest},
	} {
		r := e.dial().say("CONNECT", "CONNECT "+tt.target+" HTTP/1.1\r\nHost: x\r\n"+basic("billing", "pass")+"\r\n")
		r.wantError(t, tt.status, tt.code)
	}
	for _, tt := range []struct {
		name, user, url string
		status          int
		code            access.Code
		header          []string
	}{
		{"an org of others", "billing", "https://umbrella.my.salesforce.com/", 403, access.OrgNotAllowed, nil},
		{"another port", "billing", "https://" + acme + ":8443/", 403, access.HostNotAllowed, nil},
		{"several orgs", "both", "https://" + acme + data, 400, access.OrgAmbiguous, nil},
		{"a named org that isn't the client's", "billing+umbrella", "https://" + acme + data, 403, access.OrgNotAllowed, nil},
		{"names that differ", "both+acme", "https://" + acme + data, 400, access.OrgAmbiguous, []string{"Sallyport-Org", "acme-too"}},
	} {
		for _, p := range protocols {
			t.Run(tt.name+" is refused inside, by "+p, func(t *testing.T) {
				do(t, e.client(tt.user, p), "GET", tt.url, nil, tt.header...).wantError(t, tt.status, tt.code)
			})
		}
	}
	for _, tt := range []struct{ user, header, want string }{
		{"both+acme", "", "Bearer acme-1"},
		{"both+acme-too", "", "Bearer acme-too-1"},
		{"both", "acme-too", "Bearer acme-too-1"},
		{"both+acme-too", "acme-too", "Bearer acme-too-1"},
	} {
		var header []string
		if tt.header != "" {
			header = []string{"Sallyport-Org", tt.header}
		}
		if r := do(t, e.client(tt.user, ""), "GET", "https://"+acme+data, nil, header...); r.body != tt.want {
			t.Errorf("%s %s: %s", tt.user, tt.header, r.body)
		}
	}
}

func TestBytesBehindTheHeadOfAConnectAreKept(t *testing.T) {
	e := start(t, echo)
	c := e.dial()
	// The ClientHello leaves in one write with the CONNECT.
	head := "CONNECT " + acme + ":443 HTTP/1.1\r\nHost: x\r\n" + basic("billing", "pass") + "\r\n"
	tc := tls.Client(&eager{raw: c, head: head}, &tls.Config{RootCAs: e.roots, ServerName: acme})
	if err := tc.Handshake(); err != nil {
		t.Fatal(err)
	}
	io.WriteString(tc, "GET "+data+" HTTP/1.1\r\nHost: "+acme+"\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(tc), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("%v, %v", resp, err)
	}
}

// eager sends a head before the first bytes, and reads its answer before the first byte back.
type eager struct {
	*raw
	head  string
	heard bool
}

func (e *eager) Write(b []byte) (int, error) {
	n, err := e.raw.Write(append([]byte(e.head), b...))
	n -= len(e.head)
	e.head = ""
	return n, err
}

func (e *eager) Read(b []byte) (int, error) {
	if !e.heard {
		e.heard = true
		e.hear("CONNECT")
	}
	return e.r.Read(b)
}

func TestWhatIsNoTLSInsideATunnel(t *testing.T) {
	e := start(t, echo)
	t.Run("plain HTTP gets a 400", func(t *testing.T) {
		c := e.connect(acme + ":443")
		c.say("GET", "GET / HTTP/1.1\r\nHost: "+acme+"\r\n\r\n").wantError(t, 400, access.BadRequest)
	})
	t.Run("garbage gets an alert", func(t *testing.T) {
		c := e.connect(acme + ":443")
		c.Write([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8})
		b, err := io.ReadAll(io.LimitReader(c.r, 7))
		if err != nil || len(b) != 7 || b[0] != 0x15 || b[5] != 2 {
			t.Errorf("%x, %v", b, err)
		}
	})
	t.Run("garbage that begins like TLS gets an alert", func(t *testing.T) {
		c := e.connect(acme + ":443")
		c.Write([]byte("\x16\x03\x01\x00\x05hello"))
		b, err := io.ReadAll(io.LimitReader(c.r, 7))
		if err != nil || len(b) != 7 || b[0] != 0x15 || b[5] != 2 {
			t.Errorf("%x, %v", b, err)
		}
	})
	t.Run("another server name ends the handshake", func(t *testing.T) {
		c := e.connect(acme + ":443")
		err := tls.Client(c, &tls.Config{RootCAs: e.roots, ServerName: "other.my.salesforce.com"}).Handshake()
		if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("nothing", func(*testing.T) { e.connect(acme + ":443").Close() })
}

// inside completes TLS in a tunnel to acme and speaks HTTP/1.1 by hand.
func (e *env) inside() *raw {
	e.t.Helper()
	return e.encrypt(e.connect(acme + ":443"))
}

// encrypt completes TLS in a tunnel to acme.
func (e *env) encrypt(c *raw) *raw {
	e.t.Helper()
	tc := tls.Client(c, &tls.Config{RootCAs: e.roots, ServerName: acme})
	if err := tc.Handshake(); err != nil {
		e.t.Fatal(err)
	}
	return &raw{tc, e.t, bufio.NewReader(tc)}
}

func TestHeadsThatCannotBeRead(t *testing.T) {
	e := start(t, echo)
	huge := "GET " + data + " HTTP/1.1\r\nHost: " + acme + "\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n"
	for name, head := range map[string]struct {
		s      string
		status int
	}{
		"no HTTP":          {"hello\r\n\r\n", 400},
		"two hosts":        {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
		"a header of 1 MB": {huge, 431},
	} {
		t.Run(name, func(t *testing.T) {
			for where, c := range map[string]*raw{"inside": e.inside(), "outside": e.dial()} {
				go io.WriteString(c, head.s) // Ends when the proxy closes.
				r := c.hear("GET")
				if r.StatusCode != head.status || r.Header.Get("Sallyport-Error") != "bad_request" || !strings.HasPrefix(r.body, `[{"errorCode":"SALLYPORT_BAD_REQUEST"`) {
					t.Errorf("%s: %d %v %s", where, r.StatusCode, r.Header, r.body)
				}
			}
		})
	}
	t.Run("too large a header by HTTP/2", func(t *testing.T) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+acme+data, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 14 {
			r.Header.Add("X", strings.Repeat("x", 5<<10))
		}
		resp, err := e.client("billing", "HTTP/2.0").Do(r)
		if err != nil { // the client knew the limit from our SETTINGS by then, and kept to it
			if !strings.Contains(err.Error(), "larger than peer's advertised limit") {
				t.Error(err)
			}
			return
		}
		defer resp.Body.Close()
		if resp.StatusCode != 431 {
			t.Errorf("%d", resp.StatusCode)
		}
	})
}

// Nobody can see who calls, or read what is said, on a listener that is neither private nor TLS.
func TestPlainRequestsAreRefusedWhereOthersCanRead(t *testing.T) {
	e := start(t, echo)
	l := listen(t)
	e.serve(&farListener{l})
	for name, tt := range map[string]struct {
		request string
		header  string
		status  int
		code    access.Code
	}{
		"absolute form": {"http://" + acme + data, "Proxy-Authorization", 403, "plaintext_refused"},
		"base URL":      {"/org/acme" + data, "Authorization", 403, "plaintext_refused"},
		"neither":       {"/", "Authorization", 400, access.BadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			e.addr = l.Addr().String()
			e.dial().say("GET", "GET "+tt.request+" HTTP/1.1\r\nHost: 127.0.0.1\r\n"+tt.header+": "+shown("billing", "pass")+"\r\n\r\n").wantError(t, tt.status, tt.code)
		})
	}
}

// farListener says that it isn't on a loopback address.
type farListener struct{ net.Listener }

func (*farListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 3128} }

func TestPassthrough(t *testing.T) {
	e := start(t, echo, func(o *proxy.Options) { o.Passthrough.Patterns = []string{"pypi.example", "down.example"} })
	l := listen(t)
	defer l.Close()
	go func() { // Ends after one connection.
		c, err := l.Accept()
		if err == nil {
			io.Copy(c, c)
			io.WriteString(c, " bye")
			c.Close()
		}
	}()
	e.upstream.dial = func(ctx context.Context, hostport string) (net.Conn, error) {
		if hostport != "pypi.example:443" {
			return nil, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
		}
		return (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
	}
	c := e.connect("pypi.example:443")
	io.WriteString(c, "anything")
	c.Conn.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(c.r); string(b) != "anything bye" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	e.dial().say("CONNECT", "CONNECT down.example:443 HTTP/1.1\r\nHost: x\r\n"+basic("billing", "pass")+"\r\n").wantError(t, 504, "upstream_timeout")
}

func TestConnectionsBeyondTheLimitAreToldSo(t *testing.T) {
	e := start(t, echo, func(o *proxy.Options) { o.MaxConnections = 1 })
	first := e.connect(acme + ":443")
	e.dial().say("CONNECT", "CONNECT "+acme+":443 HTTP/1.1\r\n\r\n").wantError(t, 503, access.Overloaded)
	first.Close()
	for deadline := time.Now().Add(10 * time.Second); ; {
		if r := e.dial().say("CONNECT", "CONNECT "+acme+":443 HTTP/1.1\r\nHost: x\r\n\r\n"); r.StatusCode == 407 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("a closed tunnel still counts")
		}
	}
}

func TestLocalCallersOnAUnixSocket(t *testing.T) {
	e := start(t, echo, func(o *proxy.Options) { o.LocalCallers = access.LocalOpen })
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	e.serve(l)
	for _, addr := range [][2]string{{"unix", path}, {"tcp", e.addr}} {
		c, err := net.Dial(addr[0], addr[1])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		r := &raw{c, t, bufio.NewReader(c)}
		if r := r.say("CONNECT", "CONNECT umbrella.my.salesforce.com:443 HTTP/1.1\r\nHost: x\r\n\r\n"); r.StatusCode != 200 {
			t.Errorf("%s: %d %s", addr[0], r.StatusCode, r.body)
		}
	}
}

func TestCurl(t *testing.T) {
	e := start(t, echo)
	roots := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(roots, e.pem, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--http1.1"}, {"--http2"}, {"--proxy-anyauth"}} {
		args = append(args, "-sS", "--cacert", roots, "-x", "http://billing:pass@"+e.addr, "-w", " %{http_code} %{num_connects}", "https://"+acme+data)
		if out := run(t, append([]string{"curl"}, args...)...); out != "Bearer acme-1 200 1" && out != "Bearer acme-1 200 2" {
			t.Errorf("%v: %s", args, out)
		}
	}
}

func TestAClientThatIsReKeyedOrRemovedLosesItsTunnels(t *testing.T) {
	e := start(t, echo)
	get := func(c *raw) error {
		io.WriteString(c, "GET "+data+" HTTP/1.1\r\nHost: "+acme+"\r\n\r\n")
		resp, err := http.ReadResponse(c.r, nil)
		if err == nil {
			io.Copy(io.Discard, resp.Body)
		}
		return err
	}
	c := e.inside()
	if err := get(c); err != nil {
		t.Fatal(err)
	}
	billing := client("billing", nil)
	billing.Secret = secret.NewText("second")
	apply := func(c registry.ClientChange) {
		if _, err := e.registry.Apply(t.Context(), registry.Change{Clients: []registry.ClientChange{c}}); err != nil {
			t.Fatal(err)
		}
	}
	apply(billing)
	if err := get(c); err != nil {
		t.Errorf("while two secrets are valid: %v", err)
	}
	billing.Disabled = true
	apply(billing)
	if err := get(c); err == nil {
		t.Error("a disabled client's tunnel still serves")
	}
	billing.Disabled, billing.Secret = false, secret.Text{}
	apply(billing)
	c = e.inside()
	e.server.CloseClient("billing")
	if err := get(c); err == nil {
		t.Error("a tunnel survived CloseClient")
	}
}
