package proxy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/access"
	"github.com/sallyport/sallyport/tokens"
)

const (
	acme = "acme.my.salesforce.com"
	data = "/services/data/v65.0/"

	orgID  = "00D000000000001EAA"
	userID = "005000000000001AAA"
)

// memory is a registry.Store and registry.Sealer for tests that care about neither.
type memory struct {
	// mu guards doc and version.
	mu      sync.Mutex
	doc     []byte
	version uint64
}

func (m *memory) LoadRegistry(context.Context) ([]byte, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.doc, m.version, nil
}

func (m *memory) SaveRegistry(_ context.Context, doc []byte, _ uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.doc, m.version = doc, m.version+1
	return nil
}
func (m *memory) Seal(plain []byte, _, _ string) ([]byte, error)  { return plain, nil }
func (m *memory) Open(sealed []byte, _, _ string) ([]byte, error) { return sealed, nil }

func org(name string, hosts ...string) registry.OrgChange {
	return registry.OrgChange{Org: registry.Org{
		Name: name, App: "sync", Hosts: hosts, LoginURL: "https://" + name + ".my.salesforce.com",
	}}
}

func client(name string, change func(*registry.Client)) registry.ClientChange {
	c := registry.ClientChange{Client: registry.Client{Name: name, Orgs: []string{"acme"}}}
	if change != nil {
		change(&c.Client)
	}
	return c
}

// world is what most tests need. All secrets are "pass".
func world() registry.Change {
	return registry.Change{
		Apps: []registry.App{{Name: "sync", ClientID: "3MVG9", ClientSecret: secret.NewText("s3cret")}},
		Orgs: []registry.OrgChange{org("acme"), org("acme-too", acme), org("umbrella")},
		Clients: []registry.ClientChange{
			client("billing", nil),
			client("both", func(c *registry.Client) { c.Orgs = []string{"acme", "acme-too"} }),
			client("reader", func(c *registry.Client) { c.Methods = []string{"GET"} }),
			client("reporting", func(c *registry.Client) { c.Methods, c.Mode = []string{"GET"}, registry.ModeReport }),
			client("slow", func(c *registry.Client) { c.Limits.RequestsPerSecond = 0.01 }),
			client("single", func(c *registry.Client) { c.Limits.Concurrent = 1 }),
			client("traced", func(c *registry.Client) { c.Traces = registry.TracesTrusted }),
		},
	}
}

// worldDoc is the registry's document of world. The clients' secrets have a hash that only verify knows: real ones are
// slow.
func worldDoc() ([]byte, error) {
	m := &memory{}
	r, err := registry.New(context.Background(), registry.Options{Store: m, Sealer: m})
	if err != nil {
		return nil, err
	}
	if _, err := r.Apply(context.Background(), world()); err != nil {
		return nil, err
	}
	var d registry.Document
	if err := json.Unmarshal(m.doc, &d); err != nil {
		return nil, err
	}
	for i := range d.Clients {
		d.Clients[i].SecretHashes = []string{"test:pass"}
	}
	return json.Marshal(d)
}

func verify(hash string, s secret.Text) bool {
	if known, ok := strings.CutPrefix(hash, "test:"); ok {
		return known == s.Reveal()
	}
	return registry.VerifySecret(hash, s)
}

// fakeTokens issues NAME-1, NAME-2 and so on for the org NAME.
type fakeTokens struct {
	// mu guards the fields below.
	mu       sync.Mutex
	fail     error
	issuedAt time.Time
	n        map[tokens.OrgID]int64
	replaced chan tokens.OrgID
	used     int
	lasting  int
}

func (f *fakeTokens) current(org tokens.OrgID) (tokens.Token, error) {
	if f.fail != nil {
		return tokens.Token{}, f.fail
	}
	return tokens.Token{
		Place:  tokens.Place{Epoch: 1, Generation: f.n[org] + 1},
		Access: secret.NewText(fmt.Sprintf("%s-%d", org, f.n[org]+1)), IssuedAt: f.issuedAt,
		InstanceURL: "https://" + string(org) + ".my.salesforce.com", OrgID: orgID, UserID: userID,
	}, nil
}

func (f *fakeTokens) Token(_ context.Context, org tokens.OrgID) (tokens.Token, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.current(org)
}

func (f *fakeTokens) Lasting(_ context.Context, org tokens.OrgID) (tokens.Token, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lasting++
	return f.current(org)
}

func (f *fakeTokens) lookedAt() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lasting
}

func (f *fakeTokens) Replace(_ context.Context, org tokens.OrgID, refused tokens.Token) (tokens.Token, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if refused.Place.Generation == f.n[org]+1 {
		f.n[org]++
	}
	select {
	case f.replaced <- org:
	default:
	}
	return f.current(org)
}

func (f *fakeTokens) Used(tokens.OrgID, tokens.Token) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.used++
}

func (f *fakeTokens) set(fail error, issuedAt time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail, f.issuedAt = fail, issuedAt
}

// fakeUpstream leads every host to one server.
type fakeUpstream struct {
	transport *http.Transport
	trip      func(*http.Request) (*http.Response, error)
	dial      func(ctx context.Context, hostport string) (net.Conn, error)
}

func (u *fakeUpstream) RoundTripper(tokens.OrgID) http.RoundTripper { return u }

func (u *fakeUpstream) RoundTrip(r *http.Request) (*http.Response, error) {
	if u.trip != nil {
		return u.trip(r)
	}
	return u.transport.RoundTrip(r)
}

func (u *fakeUpstream) DialTunnel(ctx context.Context, _, hostport string) (net.Conn, error) {
	if u.dial == nil {
		return nil, errors.New("no tunnels in this test")
	}
	return u.dial(ctx, hostport)
}

// env is a proxy in front of an upstream.
type env struct {
	t        testing.TB
	server   *proxy.Server
	registry *registry.Registry
	tokens   *fakeTokens
	upstream *fakeUpstream
	addr     string
	roots    *x509.CertPool
	pem      []byte
	log      *syncBuffer
	serving  sync.WaitGroup
	pubsub   *grpc.Server // Of startGRPC.
}

// syncBuffer is a buffer that many write to.
type syncBuffer struct {
	// mu guards b.
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// start serves handler as Salesforce and a proxy in front of it until the test ends.
func start(t testing.TB, handler http.HandlerFunc, change ...func(*proxy.Options)) *env {
	t.Helper()
	salesforce := httptest.NewTLSServer(handler)
	t.Cleanup(salesforce.Close)
	roots := x509.NewCertPool()
	roots.AddCert(salesforce.Certificate())
	transport := &http.Transport{
		DisableCompression: true, MaxIdleConnsPerHost: 100, ExpectContinueTimeout: time.Second,
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "example.com"},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", salesforce.Listener.Addr().String())
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	doc, err := worldDoc()
	if err != nil {
		t.Fatal(err)
	}
	m := &memory{doc: doc, version: 1}
	reg, err := registry.New(t.Context(), registry.Options{Store: m, Sealer: m})
	if err != nil {
		t.Fatal(err)
	}
	e := &env{
		t: t, registry: reg, upstream: &fakeUpstream{transport: transport}, log: &syncBuffer{},
		tokens: &fakeTokens{n: map[tokens.OrgID]int64{}, replaced: make(chan tokens.OrgID, 10)},
	}
	authority := newAuthority(t, "salesforce.com")
	e.pem = proxy.Export(authority)
	e.roots = x509.NewCertPool()
	e.roots.AppendCertsFromPEM(e.pem)
	o := proxy.Options{
		Registry: reg, Tokens: e.tokens, Upstream: e.upstream, Authority: authority, VerifySecret: verify,
		AccessLog: slog.New(slog.NewTextHandler(e.log, nil)),
	}
	for _, f := range change {
		f(&o)
	}
	if e.server, err = proxy.New(o); err != nil {
		t.Fatal(err)
	}
	e.addr = e.serve(listen(t))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := e.server.Drain(ctx); err != nil {
			t.Errorf("Drain: %v", err)
		}
		e.serving.Wait()
	})
	return e
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serve takes connections from l until the Drain and returns its address.
func (e *env) serve(l net.Listener) string {
	e.serving.Go(func() { // Ends with Drain.
		if err := e.server.Serve(l); err != nil {
			e.t.Errorf("Serve: %v", err)
		}
	})
	return l.Addr().String()
}

// protocols are the two that are spoken inside a tunnel.
var protocols = []string{"HTTP/1.1", "HTTP/2.0"}

// client returns a client that goes through the proxy as user, "name" or "name+org", by a protocol.
func (e *env) client(user, protocol string) *http.Client {
	u := &url.URL{Scheme: "http", Host: e.addr}
	if user != "" {
		u.User = url.UserPassword(user, "pass")
	}
	tr := &http.Transport{
		Proxy: http.ProxyURL(u), TLSClientConfig: &tls.Config{RootCAs: e.roots}, DisableCompression: true,
		ForceAttemptHTTP2: protocol == "HTTP/2.0", ExpectContinueTimeout: time.Second,
	}
	e.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// result is an answer, read whole.
type result struct {
	*http.Response
	body string
}

func do(t *testing.T, c *http.Client, method, target string, body io.Reader, header ...string) result {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, target, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if strings.EqualFold(header[i], "Host") {
			r.Host = header[i+1]
		} else {
			r.Header.Add(header[i], header[i+1])
		}
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: body: %v", method, target, err)
	}
	return result{resp, string(b)}
}

// wantError checks that sallyport itself answered with status and code.
func (r result) wantError(t *testing.T, status int, code access.Code) {
	t.Helper()
	if r.StatusCode != status || r.Header.Get("Sallyport-Error") != string(code) {
		t.Errorf("got %d %s %s, want %d %s", r.StatusCode, r.Header.Get("Sallyport-Error"), r.body, status, code)
	}
	if want := `[{"errorCode":"SALLYPORT_` + strings.ToUpper(string(code)) + `","message":"`; !strings.HasPrefix(r.body, want) {
		t.Errorf("body %s, want %s…", r.body, want)
	}
	if retry := r.Header.Get("Retry-After"); (status == 503 || status == 429) != (retry != "") {
		t.Errorf("Retry-After %q with %d", retry, status)
	}
}
