package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
)

// Secrets that no answer and no log line may hold.
const (
	adminToken   = "adm-TOPSECRET-0123456789"
	seedToken    = "5Aep-TOPSECRET-seed"
	importToken  = "5Aep-TOPSECRET-import"
	appSecret    = "app-TOPSECRET-secret"
	clientSecret = "cli-TOPSECRET-secret"
	codeValue    = "aPrx-TOPSECRET-code=="
)

// broker is a fake of tokens.Broker. Its zero value answers everything with success and knows no grant.
type broker struct {
	mu      sync.Mutex
	calls   []string                       // guarded by mu
	status  map[tokens.OrgID]tokens.Status // guarded by mu
	err     error                          // guarded by mu: what every command answers
	already bool                           // guarded by mu
	code    tokens.Credential              // guarded by mu: the last one
	hold    chan struct{}                  // a refresh waits for it, if it isn't nil
}

func (b *broker) did(format string, args ...any) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, fmt.Sprintf(format, args...))
	return b.err
}

func (b *broker) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

func (b *broker) history() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.calls...)
}

func (b *broker) set(org tokens.OrgID, st tokens.Status) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.status == nil {
		b.status = map[tokens.OrgID]tokens.Status{}
	}
	b.status[org] = st
}

func (b *broker) Status(org tokens.OrgID) (tokens.Status, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	st, ok := b.status[org]
	return st, ok
}

func (b *broker) Refresh(_ context.Context, org tokens.OrgID) (tokens.Exchange, error) {
	err := b.did("refresh %s", org)
	if b.hold != nil {
		<-b.hold
	}
	return exchangeAt(8), err
}

func (b *broker) Settle(_ context.Context, org tokens.OrgID) error { return b.did("settle %s", org) }
func (b *broker) Confirm(_ context.Context, org tokens.OrgID, unverified bool) error {
	return b.did("confirm %s %v", org, unverified)
}
func (b *broker) Revoke(_ context.Context, org tokens.OrgID) error { return b.did("revoke %s", org) }
func (b *broker) Forget(_ context.Context, org tokens.OrgID) error { return b.did("forget %s", org) }
func (b *broker) Ensure(_ context.Context, org tokens.OrgID) error { return b.did("ensure %s", org) }
func (b *broker) Seed(_ context.Context, org tokens.OrgID, t secret.Text) (bool, error) {
	err := b.did("seed %s", org)
	return t.Reveal() == seedToken && err == nil, err
}

func (b *broker) Import(_ context.Context, org tokens.OrgID, t secret.Text) (tokens.Enrolled, error) {
	err := b.did("import %s %v", org, t.Reveal() == importToken)
	return tokens.Enrolled{Place: tokens.Place{Epoch: 5, Generation: 1}, Already: b.already, Truthful: true}, err
}

func (b *broker) Authorize(_ context.Context, org tokens.OrgID, c tokens.Credential) (tokens.Enrolled, error) {
	err := b.did("authorize %s", org)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.code = c
	return tokens.Enrolled{Place: tokens.Place{Epoch: 6, Generation: 1}, Truthful: true}, err
}

var noon = time.Date(2026, 5, 11, 12, 0, 0, 0, time.UTC)

func exchangeAt(generation int64) tokens.Exchange {
	return tokens.Exchange{Time: noon.Add(time.Duration(generation) * time.Minute), Org: "acme-prod", Epoch: 5, Generation: generation, Attempt: "A1",
		Reason: tokens.CauseManual, Replica: "r1", Outcome: "issued", Race: "won", Waiters: 3, LockWait: 1500 * time.Microsecond,
		Duration: 210 * time.Millisecond, Margin: 0.9, Trace: "0af7651916cd43dd8448eb211c80319c"}
}

// history is a fake of a store's.
type history []tokens.Exchange

func (h history) List(_ context.Context, org tokens.OrgID, after time.Time, n int) ([]tokens.Exchange, error) {
	var out []tokens.Exchange
	for _, e := range h {
		if (org == "" || e.Org == org) && e.Time.After(after) {
			out = append(out, e)
		}
	}
	return out[max(0, len(out)-n):], nil
}

type ca struct{ rotated []bool }

func (c *ca) Export(context.Context) ([]byte, error) {
	return []byte("-----BEGIN CERTIFICATE-----\n"), nil
}
func (c *ca) Rotate(_ context.Context, activate bool) error {
	if activate && len(c.rotated) == 0 {
		return &admin.ConflictError{What: "there is no next CA"}
	}
	c.rotated = append(c.rotated, activate)
	return nil
}

// memory is a registry.Store and a registry.Sealer that seals nothing.
type memory struct {
	mu      sync.Mutex
	doc     []byte // guarded by mu
	version uint64 // guarded by mu
}

func (m *memory) LoadRegistry(context.Context) ([]byte, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.doc, m.version, nil
}

func (m *memory) SaveRegistry(_ context.Context, doc []byte, expect uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if expect != m.version {
		return registry.ErrConflict
	}
	m.doc, m.version = doc, expect+1
	return nil
}

func (m *memory) Seal(plain []byte, _, _ string) ([]byte, error)  { return plain, nil }
func (m *memory) Open(sealed []byte, _, _ string) ([]byte, error) { return sealed, nil }

// world is a server with its fakes around it.
type world struct {
	server *admin.Server
	broker *broker
	ca     *ca
	ready  admin.Readiness
	log    *bytes.Buffer
}

// resources lack the client's secret, whose hash is slow on purpose; withSecret has it.
const resources = `{
	"apps": [{"name":"acme-sync","clientId":"3MVG9","clientSecret":"` + appSecret + `"}],
	"orgs": [
		{"name":"acme-prod","app":"acme-sync","loginUrl":"https://acme.my.salesforce.com","refreshToken":"` + seedToken + `","sessionTimeout":"2h"},
		{"name":"acme-cc","app":"acme-sync","loginUrl":"https://cc.my.salesforce.com","grant":"client_credentials"}],
	"clients": [{"name":"billing","orgs":["acme-prod"]}]
}`

var withSecret = strings.Replace(resources, `"name":"billing"`, `"name":"billing","secret":"`+clientSecret+`"`, 1)

func newWorld(t *testing.T, change ...func(*admin.Options)) *world {
	t.Helper()
	m := new(memory)
	r, err := registry.New(t.Context(), registry.Options{Store: m, Sealer: m})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{broker: new(broker), ca: new(ca), log: new(bytes.Buffer), ready: admin.Readiness{Status: admin.StatusOK}}
	o := admin.Options{
		Registry: r, Grants: w.broker, Enroller: w.broker, Ender: w.broker, CA: w.ca, ServeV1: true, Token: secret.NewText(adminToken),
		History: history{exchangeAt(6), exchangeAt(7)}, Hosts: []string{"Sallyport.internal"},
		Ready: func(context.Context) admin.Readiness { return w.ready },
		Checks: func(context.Context) []admin.Finding {
			return []admin.Finding{{Check: "store", Result: admin.ResultOK, What: "it answers"}}
		},
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "sallyport_up 1\n") }),
		Logger:  slog.New(slog.NewTextHandler(w.log, nil)),
	}
	for _, f := range change {
		f(&o)
	}
	if w.server, err = admin.New(o); err != nil {
		t.Fatal(err)
	}
	return w
}

// applied is a world with the resources in it.
func applied(t *testing.T) *world {
	w := newWorld(t)
	if got := w.do(t, "POST", "/v1/apply", resources); got.Code != http.StatusOK {
		t.Fatalf("apply: %d %s", got.Code, got.Body)
	}
	return w
}

// do calls the local handler.
func (w *world) do(t *testing.T, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	return serve(t, w.server.Local(), httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(body)))
}

func serve(t *testing.T, h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

func decode[T any](t *testing.T, rec *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil {
		t.Fatalf("%d %q: %v", rec.Code, rec.Body, err)
	}
	return v
}
