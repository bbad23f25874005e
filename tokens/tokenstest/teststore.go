package tokenstest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/tokens"
)

// Planter is a store that can write a record past every check. [TestStore] uses
// it, where it is implemented, to see what becomes of a newer schema.
type Planter interface {
	Plant(r tokens.Record) error
}

// Restarter is a store whose identity can be changed under a hold.
type Restarter interface {
	Restart()
}

// Expirer is a store whose locks can be taken from their holders.
type Expirer interface {
	// Expire ends the lock of org and reports whether somebody held it.
	Expire(org tokens.OrgID) bool
}

// waitMax bounds every wait of the conformance test: it fails instead of
// hanging.
const waitMax = 30 * time.Second

// TestStore is the contract of [tokens.Store] and, where the store implements
// it, of [tokens.Claims]. open returns an empty store of a deployment of its
// own, and closes it when t ends.
func TestStore(t *testing.T, open func(t *testing.T) tokens.Store) {
	for _, part := range []struct {
		name string
		test func(*testing.T, fixture)
	}{
		{"an org without a record is unknown", testUnknown},
		{"a record comes back as it was saved", testRoundTrip},
		{"All yields every record", testAll},
		{"a hold excludes others, of its org alone", testExcludes},
		{"many holders count without losing one", testManyHolders},
		{"a wait for the lock ends with its context", testWaitEnds},
		{"a hold that fails or panics frees the lock", testFrees},
		{"fences grow", testFences},
		{"Save raises the revision and compares the whole record", testSaveCompares},
		{"Save after another's Commit is fenced", testSaveAfterCommit},
		{"Save ends with the hold", testSaveAfterEnd},
		{"Save under another identity is fenced", testSaveIdentity},
		{"Save under an older fence is fenced", testSaveFenced},
		{"Save refuses a newer schema and another org", testSaveRefuses},
		{"a canceled context writes nothing", testCanceled},
		{"Commit goes over every older record", testCommitOverOlder},
		{"Commit makes ready on its own base alone", testCommitBase},
		{"Commit beside what is newer", testCommitBeside},
		{"Commit is idempotent", testCommitIdempotent},
		{"Commit refuses a newer schema", testCommitSchema},
		{"Commit needs no lock", testCommitWithoutLock},
		{"Commit claims the token", testCommitClaims},
		{"claims are made once and all together", testClaims},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, fixture{open(t), t}) })
	}
}

// fixture is a store under test.
type fixture struct {
	tokens.Store
	t *testing.T
}

// sample is a record with something in every field that a store could lose.
func sample(org tokens.OrgID, p tokens.Place) tokens.Record {
	at := time.Date(2026, 3, 4, 5, 6, 7, 8e6, time.UTC)
	token := string(org) + "-" + at.Add(time.Duration(p.Epoch*1000+p.Generation)).Format(time.RFC3339Nano)
	return tokens.Record{
		Schema: tokens.Schema, Org: org, Kind: "refresh_token", SingleUse: true, Place: p,
		State: tokens.Ready, Since: at, Attempts: []tokens.PastAttempt{{ID: "before", Outcome: tokens.OutcomeIssued}},
		Refresh: []byte("sealed " + token), Fingerprint: "fp " + token, Earlier: []string{"fp earlier " + token},
		Rotation: tokens.Rotates, Access: []byte{0, 0xff, '"'}, AccessPlace: p, InstanceURL: "https://" + string(org) + ".my.salesforce.com",
		IssuedAt: at, ExpiresAt: at.Add(time.Hour), Address: "192.0.2.1", SalesforceOrg: "00D", SalesforceUser: "005",
		EnrolledAt: at, LastExchange: at, HourStart: at, HourCount: 3, Truthful: at,
		Orphans: []tokens.Orphan{{Place: tokens.Place{Epoch: 1, Generation: 9}, Refresh: []byte("sealed orphan"), Fingerprint: "fp orphan " + token, Since: at}},
	}
}

// place is generation gen of the one epoch that most tests need.
func place(gen int64) tokens.Place { return tokens.Place{Epoch: 1700000000000, Generation: gen} }

// hold holds org while fn runs, and fails the test where it can't.
func (f fixture) hold(org tokens.OrgID, fn func(context.Context, tokens.Hold)) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), waitMax)
	defer cancel()
	if err := f.Hold(ctx, org, func(ctx context.Context, h tokens.Hold) error { fn(ctx, h); return nil }); err != nil {
		f.t.Fatalf("hold %s: %v", org, err)
	}
}

// save writes r, changed by change, under a hold, and returns what was written.
// The record is verified under the store's identity.
func (f fixture) save(r tokens.Record, change func(*tokens.Record)) (saved tokens.Record) {
	f.t.Helper()
	f.hold(r.Org, func(ctx context.Context, h tokens.Hold) {
		_, s := h.Record()
		r.Verified = s.Identity
		if change != nil {
			change(&r)
		}
		if err := h.Save(ctx, r); err != nil {
			f.t.Fatalf("save %s: %v", r.Org, err)
		}
		saved, _ = h.Record()
	})
	return saved
}

func (f fixture) load(org tokens.OrgID) tokens.Record {
	f.t.Helper()
	r, err := f.Load(f.t.Context(), org)
	if err != nil {
		f.t.Fatalf("load %s: %v", org, err)
	}
	return r
}

func (f fixture) is(what string, err, want error) {
	f.t.Helper()
	if !errors.Is(err, want) {
		f.t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

func (f fixture) same(what string, got, want tokens.Record) {
	f.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		f.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func testUnknown(t *testing.T, f fixture) {
	_, err := f.Load(t.Context(), "nobody")
	f.is("Load", err, tokens.ErrUnknownOrg)
	f.hold("nobody", func(_ context.Context, h tokens.Hold) {
		if r, s := h.Record(); r.Known() || s.Identity == "" || s.Stamped < 0 {
			t.Errorf("a hold of an unknown org sees %+v, %+v", r, s)
		}
	})
	_, err = f.Load(t.Context(), "nobody")
	f.is("Load after a hold", err, tokens.ErrUnknownOrg)
}

func testRoundTrip(t *testing.T, f fixture) {
	want := sample("acme", place(3))
	want.State, want.Reason, want.Detail = tokens.InDoubt, tokens.ReasonBusy, "in \"other\" words"
	want.Attempt = &tokens.Attempt{
		ID: "a1", Replica: "r1", Base: place(3), Start: want.Since, Limit: time.Minute, Takeover: 5 * time.Minute,
		Cause: tokens.CauseExpiry, Trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Address: "192.0.2.1",
	}
	saved := f.save(want, nil)
	want.Verified, want.Revision, want.Fence = saved.Verified, 1, saved.Fence
	f.same("what the hold shows", saved, want)
	f.same("what Load reads", f.load("acme"), want)
	f.hold("acme", func(_ context.Context, h tokens.Hold) {
		r, s := h.Record()
		f.same("what the next hold reads", r, want)
		if s.Identity != r.Verified {
			t.Errorf("the identity changed from %q to %q by itself", r.Verified, s.Identity)
		}
	})
}

func testAll(t *testing.T, f fixture) {
	want := map[tokens.OrgID]tokens.Record{}
	for _, org := range []tokens.OrgID{"umbrella", "acme", "acme/2", "ümlaut"} {
		want[org] = f.save(sample(org, place(1)), nil)
	}
	got := map[tokens.OrgID]tokens.Record{}
	for r, err := range f.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := got[r.Org]; twice {
			t.Errorf("%s came twice", r.Org)
		}
		got[r.Org] = r
		f.load(r.Org) // the store can be used meanwhile
		f.save(r, nil)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, err := range f.All(t.Context()) {
		if err != nil {
			t.Error(err)
		}
		break // the reader may stop
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var errs []error
	for _, err := range f.All(ctx) {
		errs = append(errs, err)
	}
	if !slices.ContainsFunc(errs, func(err error) bool { return errors.Is(err, context.Canceled) }) {
		t.Errorf("All with a canceled context: %v", errs)
	}
}
