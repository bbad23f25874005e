package tokens_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
)

// codes is a Salesforce that trades authorization codes for whole grants.
type codes struct{ *tokenstest.Force }

func (x codes) Connect(ctx context.Context, org tokens.OrgID) (tokens.Line, error) {
	l, err := x.Force.Connect(ctx, org)
	return codeLine{l, x.Force, org}, err
}

type codeLine struct {
	tokens.Line
	sf  *tokenstest.Force
	org tokens.OrgID
}

func (l codeLine) Send(ctx context.Context, c tokens.Credential, guard func() error) (tokens.Answer, bool, error) {
	if c.Kind == "authorization_code" {
		c = tokens.Credential{SingleUse: true, Secret: secret.NewText(l.sf.Authorise(l.org))}
	}
	return l.Line.Send(ctx, c, guard)
}

var anyCode = tokens.Credential{Kind: "authorization_code", Secret: secret.NewText("code")}

// The names under which the grant of [tokenstest.Force] is claimed.
const grantOfAcme = "grant:app:00D000000000001EAA:005000000000001AAA"

func TestAPersonWhoGoesAwayHasAuthorisedAllTheSame(t *testing.T) {
	world(t, func(b *bench) {
		b.with(func(o *tokens.Options) { o.Exchanger = codes{b.sf} })
		ctx, cancel := context.WithTimeout(b.t.Context(), b.sf.Latency/2)
		defer cancel()
		_, _ = b.Authorize(ctx, acme, anyCode)
		b.state(tokens.Ready, "")
		b.token()
		if who, err := b.store.Claimant(b.t.Context(), grantOfAcme); who != acme {
			t.Errorf("the grant is claimed by %q: %v", who, err)
		}
	})
}

func TestAnAuthorisationCountsWhereItsNamesCannotBeClaimed(t *testing.T) {
	world(t, func(b *bench) {
		b.with(func(o *tokens.Options) { o.Exchanger = codes{b.sf} })
		b.storeFails(tokenstest.OpClaim)
		if _, err := b.Authorize(b.t.Context(), acme, anyCode); err != nil {
			t.Errorf("the person is told %v, and the code is spent", err)
		}
		b.store.SetHooks(nil, nil)
		b.state(tokens.Ready, "")
		b.token()
	})
}

func TestAnOldTokenNeverEntersAgainHoweverLongAgoItWasRotatedOut(t *testing.T) {
	world(t, func(b *bench) {
		first := b.sf.Authorise(acme)
		if _, err := b.Import(b.t.Context(), acme, secret.NewText(first)); err != nil {
			b.t.Fatal(err)
		}
		known := func() bool {
			for e, err := range b.journal.Entries() {
				if err == nil && e.Record.Knows(hashes{}.Of(first)) {
					return true
				}
			}
			return false
		}
		for n := 0; known(); n++ {
			if n > 1000 {
				b.t.Fatal("the journal still names it after 1000 exchanges")
			}
			if _, err := b.Refresh(b.t.Context(), acme); err != nil {
				b.t.Fatal(err)
			}
		}
		if r, err := b.store.Load(b.t.Context(), acme); err != nil || r.Knows(hashes{}.Of(first)) {
			b.t.Fatal("the record still names it", err)
		}
		if _, err := b.Import(b.t.Context(), acme, secret.NewText(first)); code(err) != tokens.CodeConflict {
			t.Errorf("the person is told %v", err)
		}
		b.state(tokens.Ready, "")
		wait(3 * time.Hour)
		b.token()
	})
}

// A lock that expired lets two people's imports overlap.
func TestAnImportThatLosesToANewerAuthorisationSaysSo(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		older, newer := secret.NewText(b.sf.Authorise(acme)), secret.NewText(b.sf.Authorise(acme))
		var won tokens.Enrolled
		b.store.SetHooks(func(_ context.Context, op tokenstest.Op, _ tokens.OrgID) (err error) {
			if op != tokenstest.OpCommit {
				return nil
			}
			b.store.SetHooks(nil, nil)
			b.store.Expire(acme)
			won, err = b.Import(b.t.Context(), acme, newer)
			return err
		}, nil)
		if _, err := b.Import(b.t.Context(), acme, older); code(err) != tokens.CodeConflict {
			t.Errorf("the one who lost is told %v", err)
		}
		st, _ := b.Status(acme)
		if st.Place != won.Place || st.Orphans != 2 {
			t.Errorf("the grant is at %v with %d orphans, want %v and 2: the one before, and the one that lost", st.Place, st.Orphans, won.Place)
		}
		if _, err := b.Refresh(b.t.Context(), acme); err != nil {
			t.Error(err)
		}
		b.token()
	})
}

// noRevoke is a Salesforce whose revocation endpoint can't be reached.
type noRevoke struct{ *tokenstest.Force }

func (noRevoke) Revoke(context.Context, tokens.OrgID, tokens.Subject) error {
	return errors.New("unreachable")
}

func TestARevocationThatFailedIsNeverReportedDone(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.with(func(o *tokens.Options) { o.Exchanger = noRevoke{b.sf} })
		tok := b.token()
		if err := b.Revoke(b.t.Context(), acme); code(err) != tokens.CodeUpstream {
			t.Errorf("the person is told %v", err)
		}
		b.restart() // the endpoint is back
		if err := b.Revoke(b.t.Context(), acme); err == nil && b.sf.Call(tok) {
			t.Error("it is reported done, and the grant lives at Salesforce")
		}
		b.state(tokens.ReauthRequired, tokens.ReasonRevoked)
	})
}

func TestAChangeOfKindKeepsTheRefreshTokenAside(t *testing.T) {
	world(t, func(b *bench) {
		refresh := secret.NewText(b.sf.Authorise(acme))
		if _, err := b.Import(b.t.Context(), acme, refresh); err != nil {
			b.t.Fatal(err)
		}
		b.with(func(*tokens.Options) { b.dir[acme] = tokens.Settings{Name: "acme", Kind: "client_credentials"} })
		if err := b.Ensure(b.t.Context(), acme); err != nil {
			b.t.Fatal(err)
		}
		b.token()
		if st, _ := b.Status(acme); st.Orphans != 1 {
			t.Errorf("%d orphans, want the refresh token", st.Orphans)
		}
		r, err := b.store.Load(b.t.Context(), acme)
		if err != nil || !r.Knows(hashes{}.Of(refresh.Reveal())) {
			t.Error("the refresh token isn't known any more:", err)
		}
	})
}

func TestARevokedClientCredentialsGrantStaysRevoked(t *testing.T) {
	world(t, func(b *bench) {
		b.dir[acme] = tokens.Settings{Name: "acme", Kind: "client_credentials", SessionTimeout: time.Hour}
		b.restart()
		if err := b.Ensure(b.t.Context(), acme); err != nil {
			b.t.Fatal(err)
		}
		b.token()
		if err := b.Revoke(b.t.Context(), acme); err != nil {
			b.t.Fatal(err)
		}
		for range 2 {
			if tok, err := b.Token(b.t.Context(), acme); code(err) != tokens.CodeReauthRequired {
				t.Errorf("served %v, %v", tok.Place, err)
			}
			wait(2 * time.Second)
		}
		b.expect(1)
		b.state(tokens.ReauthRequired, tokens.ReasonRevoked)
	})
}
