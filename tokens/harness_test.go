package tokens_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/journal"
	"github.com/sallyport/sallyport/tokens/tokenstest"
	"github.com/sallyport/sallyport/tokens/tokenstest/crashfs"
)

// bench is a broker on a store and a journal in memory, against a Salesforce in
// memory, under virtual time.
type bench struct {
	t       *testing.T
	sf      *tokenstest.Force
	store   *tokenstest.Mem
	disk    *crashfs.FS
	journal *journal.Journal
	keys    *secret.Keyring
	policy  tokens.Policy
	dir     directory
	*tokens.Broker
}

const acme = tokens.OrgID("acme")

// world runs f in a bubble of virtual time with one org, acme, whose session
// timeout is two hours.
func world(t *testing.T, f func(*bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		json, err := secret.NewKeyset()
		if err != nil {
			t.Fatal(err)
		}
		keys, err := secret.ParseKeyring(json)
		if err != nil {
			t.Fatal(err)
		}
		b := &bench{t: t, sf: tokenstest.NewForce(), store: tokenstest.NewMem(tokenstest.MemOptions{Exclusive: true}), disk: crashfs.New(1), keys: keys,
			dir: directory{acme: {Name: "acme", Kind: "refresh_token", SingleUse: true, SessionTimeout: 2 * time.Hour, ClientID: "app"}}}
		b.start()
		f(b)
		b.stop()
	})
}

// enrolled is a world in which a person has authorised acme.
func enrolled(t *testing.T, f func(*bench)) {
	t.Helper()
	world(t, func(b *bench) {
		if _, err := b.Import(b.t.Context(), acme, secret.NewText(b.sf.Authorise(acme))); err != nil {
			t.Fatal(err)
		}
		f(b)
	})
}

// start is a process on what the disk and the store hold.
func (b *bench) start() {
	b.t.Helper()
	b.startWith(func(*tokens.Options) {})
}

func (b *bench) startWith(change func(*tokens.Options)) {
	b.t.Helper()
	var err error
	if b.journal, err = journal.Open(journal.Options{Dir: "/state/journal", Sealer: b.keys, FS: b.disk}); err != nil {
		b.t.Fatal(err)
	}
	o := tokens.Options{Store: b.store, Claims: b.store, Journal: b.journal, Exchanger: b.sf, Sealer: b.keys,
		Fingerprint: hashes{}, Directory: b.dir, History: b.store, Replica: "r1", Deployment: "d1", Policy: b.policy, Logger: slog.New(slog.DiscardHandler)}
	change(&o)
	if b.Broker, err = tokens.NewBroker(o); err != nil {
		b.t.Fatal(err)
	}
	if err := b.Recover(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) stop() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if err := b.Drain(ctx); err != nil {
		b.t.Error(err)
	}
	if err := b.journal.Close(); err != nil {
		b.t.Error(err)
	}
}

// restart is a new process on the same disk.
func (b *bench) restart() {
	b.t.Helper()
	b.with(func(*tokens.Options) {})
}

// with is a restart whose new process has other parts or settings, as change
// makes them. It is called when the old process is gone and the new one hasn't
// looked at anything yet.
func (b *bench) with(change func(*tokens.Options)) {
	b.t.Helper()
	b.stop()
	b.store.Restart()
	b.startWith(change)
}

func (b *bench) token() tokens.Token {
	b.t.Helper()
	t, err := b.Token(b.t.Context(), acme)
	if err != nil {
		b.t.Fatalf("no token: %v", err)
	}
	if !b.sf.Call(t) {
		b.t.Fatalf("Salesforce refuses the token of %v", t.Place)
	}
	return t
}

// expect checks what Salesforce saw: requests at the token endpoint, none of
// them a replay.
func (b *bench) expect(requests int) {
	b.t.Helper()
	got, replays := b.sf.Seen()
	if got != requests || replays != 0 {
		b.t.Errorf("Salesforce saw %d token requests, %d of them replays; want %d and 0", got, replays, requests)
	}
}

func (b *bench) state(want tokens.State, why tokens.Reason) {
	b.t.Helper()
	st, _ := b.Status(acme)
	if st.State != want || st.Reason != why {
		b.t.Errorf("the grant is %s %s (%s), want %s %s", st.State, st.Reason, st.Detail, want, why)
	}
}

func code(err error) tokens.Code {
	var e *tokens.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

type directory map[tokens.OrgID]tokens.Settings

func (d directory) Settings(org tokens.OrgID) (tokens.Settings, bool) { s, ok := d[org]; return s, ok }

type hashes struct{}

func (hashes) Of(token string) string {
	h := sha256.Sum256([]byte(token))
	return hex.EncodeToString(h[:8])
}
