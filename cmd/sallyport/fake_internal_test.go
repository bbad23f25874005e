package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/tokens"
)

// fake is what a server is made of, without Salesforce: an admin.Server over a registry in memory and grants that do as
// they are told.
type fake struct {
	mu      sync.Mutex
	calls   []string                       // guarded by mu
	grants  map[tokens.OrgID]tokens.Status // guarded by mu
	history []tokens.Exchange              // guarded by mu
	next    *proxy.Authority               // guarded by mu
	current *proxy.Authority               // guarded by mu
	doc     []byte                         // guarded by mu
	version uint64                         // guarded by mu
	healthy admin.Readiness
}

var fakeNow = time.Date(2026, 5, 11, 12, 0, 0, 0, time.UTC)

func newFake() *fake {
	f := &fake{grants: map[tokens.OrgID]tokens.Status{}, healthy: admin.Readiness{Status: admin.StatusOK}}
	f.set("acme-prod", tokens.Ready, "")
	f.exchanged(6)
	f.exchanged(7)
	return f
}

// serveFake starts a fake for a script, with "empty" without any resources.
func serveFake(dir string, ts *testscript.TestScript, args []string) error {
	f := newFake()
	if slices.Contains(args, "empty") {
		f.doc = []byte{}
	}
	if slices.Contains(args, "raced") { // and lost by another replica
		f.history = append(f.history, tokens.Exchange{Time: fakeNow.Add(7*time.Minute - time.Millisecond), Org: "acme-prod", Epoch: 1795305600000, Generation: 7,
			Attempt: "A7", Reason: tokens.CauseExpiry, Replica: "r2", Outcome: "adopted", Race: "lost", Winner: "r1", Waiters: 2, LockWait: 190 * time.Millisecond,
			Duration: 190 * time.Millisecond, Trace: "0af7651916cd43dd8448eb211c80319c"})
	}
	stop, err := f.listen(dir)
	if err == nil {
		ts.Defer(stop)
	}
	return err
}

const fakeResources = `
apps: [{name: acme-sync, clientId: 3MVG9, clientSecret: appTOPSECRET}]
orgs: [{name: acme-prod, app: acme-sync, loginUrl: "https://acme.my.salesforce.com", sessionTimeout: 2h}]
clients: [{name: billing, orgs: [acme-prod], methods: [GET]}]
`

// listen serves f on the admin socket in dir.
func (f *fake) listen(dir string) (stop func(), err error) {
	ctx := context.Background()
	if f.current, err = proxy.NewAuthority([]string{"salesforce.com"}, fakeNow); err != nil {
		return nil, err
	}
	r, err := registry.New(ctx, registry.Options{Store: f, Sealer: f})
	if err != nil {
		return nil, err
	}
	if f.doc == nil {
		c, err := config.ParseResources(strings.NewReader(fakeResources), "fake.yaml", config.ResourceOptions{})
		if err != nil {
			return nil, err
		}
		if _, err := r.Apply(ctx, c); err != nil {
			return nil, err
		}
	}
	s, err := admin.New(admin.Options{Registry: r, Grants: f, Enroller: f, Ender: f, History: f, CA: f,
		Ready: func(context.Context) admin.Readiness { return f.healthy }})
	if err != nil {
		return nil, err
	}
	l, err := listenUnix(filepath.Join(dir, adminSocket))
	if err != nil {
		return nil, err
	}
	srv := admin.NewHTTPServer(s.Local(), nil)
	go srv.Serve(l) // ends with stop
	return func() { srv.Close() }, nil
}

func (f *fake) did(call string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, call)
}

func (f *fake) last() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.calls) == 0 {
		return ""
	}
	return f.calls[len(f.calls)-1]
}

func (f *fake) set(org tokens.OrgID, s tokens.State, reason tokens.Reason) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grants[org] = tokens.Status{Kind: "refresh_token", State: s, Reason: reason, Place: tokens.Place{Epoch: 1795305600000, Generation: 7}, Live: s == tokens.Ready,
		Verified: s == tokens.Ready, Truthful: fakeNow, Rotation: tokens.Rotates, EnrolledAt: fakeNow, LastExchange: fakeNow, IssuedAt: fakeNow,
		ExpiresAt: fakeNow.Add(2 * time.Hour), HeartbeatDue: fakeNow.AddDate(10, 0, 0), Address: "203.0.113.7"}
}

// exchanged adds an exchange to the history, once a generation.
func (f *fake) exchanged(generation int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := tokens.Exchange{Time: fakeNow.Add(time.Duration(generation) * time.Minute), Org: "acme-prod", Epoch: 1795305600000, Generation: generation, Attempt: tokens.AttemptID(fmt.Sprintf("A%d", generation)),
		Reason: tokens.CauseExpiry, Replica: "r1", Outcome: "issued", Race: "won", Waiters: 3, LockWait: 1500 * time.Microsecond, Duration: 210 * time.Millisecond,
		Address: "203.0.113.7", Answer: tokens.AnswerToken, AnswerTime: 180 * time.Millisecond, Margin: 0.97}
	if !slices.ContainsFunc(f.history, func(o tokens.Exchange) bool { return o.Generation == generation }) {
		f.history = append(f.history, e)
	}
}

func (f *fake) Status(org tokens.OrgID) (tokens.Status, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	st, ok := f.grants[org]
	return st, ok
}

func (f *fake) Refresh(_ context.Context, org tokens.OrgID) (tokens.Exchange, error) {
	f.did("refresh " + string(org))
	if st, _ := f.Status(org); st.State != tokens.Ready {
		return tokens.Exchange{}, &tokens.Error{Org: org, Code: tokens.CodeConflict, What: "the grant must be authorised again", Hint: "run sallyport grant authorize " + string(org)}
	}
	f.exchanged(8)
	return f.history[len(f.history)-1], nil
}

func (f *fake) Settle(_ context.Context, org tokens.OrgID) error {
	f.did("settle " + string(org))
	return nil
}

func (f *fake) Confirm(_ context.Context, org tokens.OrgID, unverified bool) error {
	if !unverified {
		return &tokens.Error{Org: org, Code: tokens.CodeConflict, What: "Salesforce gave no answer that can be believed", Hint: "try again, or say --unverified"}
	}
	f.set(org, tokens.Ready, "")
	return nil
}

func (f *fake) Revoke(_ context.Context, org tokens.OrgID) error {
	f.set(org, tokens.ReauthRequired, tokens.ReasonRevoked)
	return nil
}

func (f *fake) Forget(_ context.Context, org tokens.OrgID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.grants, org)
	return nil
}

func (f *fake) Import(_ context.Context, org tokens.OrgID, t secret.Text) (tokens.Enrolled, error) {
	if t.Reveal() != "5AepTOPSECRET" {
		return tokens.Enrolled{}, errors.New("the token came changed")
	}
	st, held := f.Status(org)
	f.set(org, tokens.Ready, "")
	return tokens.Enrolled{Place: tokens.Place{Epoch: 1795305600001, Generation: 1}, Already: held && st.State == tokens.Ready}, nil
}

func (f *fake) Authorize(_ context.Context, org tokens.OrgID, c tokens.Credential) (tokens.Enrolled, error) {
	v, err := url.ParseQuery(c.Secret.Reveal())
	f.did("authorize " + string(org) + " code=" + v.Get("code"))
	return tokens.Enrolled{Place: tokens.Place{Epoch: 1795305600002, Generation: 1}, Truthful: true}, err
}

func (f *fake) Seed(_ context.Context, org tokens.OrgID, _ secret.Text) (bool, error) {
	if _, held := f.Status(org); held {
		return false, nil
	}
	f.set(org, tokens.Ready, "")
	return true, nil
}

func (f *fake) Ensure(context.Context, tokens.OrgID) error { return nil }

func (f *fake) List(_ context.Context, org tokens.OrgID, after time.Time, n int) ([]tokens.Exchange, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []tokens.Exchange
	for _, e := range f.history {
		if (org == "" || e.Org == org) && e.Time.After(after) {
			out = append(out, e)
		}
	}
	return out[max(0, len(out)-n):], nil
}

func (f *fake) Export(context.Context) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next != nil {
		return proxy.Export(f.current, f.next), nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.current.Root().Raw}), nil
}

func (f *fake) Rotate(_ context.Context, activate bool) (err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case activate && f.next == nil:
		return &admin.ConflictError{What: "there is no next CA: run sallyport ca rotate first"}
	case activate:
		f.current, f.next = f.next, nil
	default:
		f.next, err = proxy.NewAuthority([]string{"salesforce.com"}, fakeNow)
	}
	return err
}

func (f *fake) LoadRegistry(context.Context) ([]byte, uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.doc) == 0 {
		return nil, 0, nil
	}
	return f.doc, f.version, nil
}

func (f *fake) SaveRegistry(_ context.Context, doc []byte, expect uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if expect != f.version {
		return registry.ErrConflict
	}
	f.doc, f.version = doc, expect+1
	return nil
}

func (f *fake) Seal(plain []byte, _, _ string) ([]byte, error)  { return plain, nil }
func (f *fake) Open(sealed []byte, _, _ string) ([]byte, error) { return sealed, nil }
