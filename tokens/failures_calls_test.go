package tokens_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
)

func TestFailure20TheHoldersClockCountsForNobodyElse(t *testing.T) {
	enrolled(t, func(b *bench) {
		r := b.kept()
		r.Revision++
		r.State = tokens.Exchanging
		r.Attempt = &tokens.Attempt{ID: "elsewhere", Replica: "r9", Base: r.Place, Limit: time.Minute, Takeover: 5 * time.Minute,
			Start: time.Now().Add(-10 * time.Hour)} // by a clock that is behind: it was a moment ago
		if err := b.store.Plant(r); err != nil {
			t.Fatal(err)
		}
		if err := b.Settle(b.t.Context(), acme); err == nil {
			t.Error("a request that may still be under way was taken for over")
		}
		b.state(tokens.InDoubt, tokens.ReasonNoAnswer)
		wait(6 * time.Minute)
		b.state(tokens.Ready, "")
		b.token()
		b.expect(1)
	})
}

func TestFailure20AJWTLivesByOneClock(t *testing.T) {
	w := &way{issue: func(i *tokens.Issue) {
		i.IssuedAt = time.Now().Add(-time.Hour) // Salesforce's clock is an hour behind ours
		i.ExpiresAt = i.IssuedAt.Add(30 * time.Minute)
	}}
	through(t, w, func(b *bench) {
		b.token()
		wait(20 * time.Minute)
		b.token()
		b.expect(1)
	})
}

func TestFailure21TwoSchedulersMakeOneHeartbeat(t *testing.T) {
	replicas(t, 2, func(fl *fleet) {
		wait(29 * 24 * time.Hour)
		fl.expect(1)
	})
}

func TestFailure22HeartbeatsAfterAnOutageComeInTurnTheLongestIdleFirst(t *testing.T) {
	world(t, func(b *bench) {
		var orgs []tokens.OrgID
		for i := range 40 {
			org := tokens.OrgID(fmt.Sprintf("org-%02d", i))
			orgs = append(orgs, org)
			b.dir[org] = tokens.Settings{Name: string(org), Kind: "refresh_token", SingleUse: true, ClientID: "app"}
			if _, err := b.Import(b.t.Context(), org, secret.NewText(b.sf.Authorise(org))); err != nil {
				t.Fatal(err)
			}
			wait(time.Second)
		}
		b.with(func(*tokens.Options) { wait(29 * 24 * time.Hour) })
		wait(2 * time.Second)
		first := b.store.Exchanges()
		if len(first) < 10 || len(first) > 21 {
			t.Errorf("%d exchanges within two seconds, want about twenty", len(first))
		}
		for i, e := range first {
			if e.Org != orgs[i] {
				t.Fatalf("heartbeat %d is that of %s, want %s", i, e.Org, orgs[i])
			}
		}
		wait(time.Minute)
		b.expect(len(orgs))
	})
}

func TestFailure23AnAuthorisationMidExchangeKeepsTheLateAnswerAside(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		release := b.sf.Hold()
		refreshing(b.Broker)
		wait(time.Second)
		b.store.Expire(acme) // or the person would wait for the lock
		done, err := b.Import(b.t.Context(), acme, secret.NewText(b.sf.Authorise(acme)))
		if err != nil {
			t.Fatal(err)
		}
		release()
		wait(time.Minute)
		st, _ := b.Status(acme)
		if st.Place != done.Place || st.State != tokens.Ready || st.Orphans != 2 {
			t.Errorf("the grant is %s at %v with %d orphans; want ready at %v, the older token and the late one aside", st.State, st.Place, st.Orphans, done.Place)
		}
		if b.sf.Revoked != 0 {
			t.Error("a machine revoked an orphan")
		}
		if tok := b.token(); tok.Place.Epoch == done.Place.Epoch || tok.Place.Generation != 3 {
			t.Errorf("the token of %v is served; want that of the late answer, the new authorisation has none yet", tok.Place)
		}
		if _, err := b.Refresh(b.t.Context(), acme); err != nil {
			t.Error(err)
		}
		if tok := b.token(); tok.Place.Epoch != done.Place.Epoch {
			t.Errorf("the token of %v is served, want the new authorisation's", tok.Place)
		}
		b.expect(3)
	})
}

func TestFailure30ManyRefusalsOfOneSessionAreOneExchange(t *testing.T) {
	enrolled(t, func(b *bench) {
		old := b.token()
		b.Used(acme, old)
		b.sf.Kill(acme)
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				<-time.After(time.Duration(i) * 5 * time.Millisecond) // before, during and after the exchange
				if tok, err := b.Replace(b.t.Context(), acme, old); err != nil || !b.sf.Call(tok) {
					t.Error("no live token after a dead session:", err)
				}
			})
		}
		wg.Wait()
		b.expect(2)
	})
}

func TestFailure31TheCapEndsExchangesThatCureNothing(t *testing.T) {
	world(t, func(b *bench) {
		b.policy.MaxExchanges = 5
		b.restart()
		if _, err := b.Import(b.t.Context(), acme, secret.NewText(b.sf.Authorise(acme))); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			tok, err := b.Token(b.t.Context(), acme)
			if err != nil {
				break
			}
			b.Used(acme, tok)
			b.sf.Kill(acme) // each session dies at once, whatever an exchange does
			_, _ = b.Replace(b.t.Context(), acme, tok)
		}
		b.expect(5)
		wait(61 * time.Minute)
		b.token()
		b.expect(6)
	})
}

// An org policy refuses every session from here: a new token fares no better.
func TestFailure31TokensThatAreRefusedUnusedStartNoStorm(t *testing.T) {
	enrolled(t, func(b *bench) {
		start := time.Now()
		for range 50 {
			tok, err := b.Token(b.t.Context(), acme)
			if err == nil {
				_, err = b.Replace(b.t.Context(), acme, tok)
			}
			if err != nil && code(err) != tokens.CodeSessionRejected {
				t.Fatalf("callers are told %v", err)
			}
		}
		if n, _ := b.sf.Seen(); time.Since(start) > time.Second || n > 2 {
			t.Errorf("%d exchanges within %s", n, time.Since(start))
		}
	})
}

func TestFailure32AWrongWayOutIsFoundBeforeAnIntentIsWritten(t *testing.T) {
	w := new(way)
	through(t, w, func(b *bench) {
		before := b.kept()
		w.connect = func(context.Context) error {
			return &tokens.Error{Org: acme, Code: tokens.CodeEgressUnverified, What: "the org's source address can't be used", Hint: "compare it with the interfaces"}
		}
		if _, err := b.Token(b.t.Context(), acme); code(err) != tokens.CodeEgressUnverified {
			t.Errorf("callers are told %v", err)
		}
		if now := b.kept(); now.Revision != before.Revision || b.intents() != 0 {
			t.Errorf("revision %d, was %d, and %d intents in the journal: want that nothing began", now.Revision, before.Revision, b.intents())
		}
		b.expect(0)
		w.connect = nil
		wait(2 * time.Minute)
		b.token()
		b.expect(1)
	})
}

func TestFailure34AGrantHasOneNameWhateverTheOrgIsCalled(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.dir["alias"] = b.dir[acme]
		if _, err := b.Import(b.t.Context(), "alias", b.plain()); code(err) != tokens.CodeConflict || !strings.Contains(err.Error(), "belongs to org acme") {
			t.Errorf("the person is told %v", err)
		}
		if _, err := b.Token(b.t.Context(), "alias"); code(err) != tokens.CodeReauthRequired {
			t.Errorf("callers of the alias are told %v", err)
		}
		b.token()
		b.expect(1)
	})
	world(t, func(b *bench) { // only the store knows who had it
		token := b.sf.Authorise(acme)
		if err := b.store.Claim(b.t.Context(), "gone", []string{hashes{}.Of(token)}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Import(b.t.Context(), acme, secret.NewText(token)); code(err) != tokens.CodeConflict || !strings.Contains(err.Error(), "belongs to org gone") {
			t.Errorf("the person is told %v", err)
		}
	})
	enrolled(t, func(b *bench) { // only this process does
		token := b.plain()
		b.store.Restore(tokenstest.Snapshot{})
		b.dir["alias"] = b.dir[acme]
		if _, err := b.Import(b.t.Context(), "alias", token); code(err) != tokens.CodeConflict || !strings.Contains(err.Error(), "belongs to org acme") {
			t.Errorf("the person is told %v", err)
		}
	})
	world(t, func(b *bench) {
		b.with(func(o *tokens.Options) { o.Exchanger = codes{b.sf} })
		if _, err := b.Authorize(b.t.Context(), acme, anyCode); err != nil {
			t.Fatal(err)
		}
		if who, err := b.store.Claimant(b.t.Context(), grantOfAcme); who != acme || err != nil {
			t.Errorf("app, org and user are claimed by %q: %v", who, err)
		}
	})
}

func TestFailure39AnOrgThatMovedIsFollowed(t *testing.T) {
	w, told := new(way), make(chan string, 10)
	through(t, w, func(b *bench) {
		b.token()
		w.issue = func(i *tokens.Issue) { i.InstanceURL = "https://acme--moved.sandbox.my.salesforce.com" }
		if _, err := b.Refresh(b.t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		wait(time.Millisecond)
		last := ""
		for len(told) > 0 {
			last = <-told
		}
		if tok := b.token(); tok.InstanceURL != "https://acme--moved.sandbox.my.salesforce.com" || last != tok.InstanceURL {
			t.Errorf("calls go to %s, and the registry was told %s", tok.InstanceURL, last)
		}
	}, func(_ *bench, o *tokens.Options) { o.Instance = func(_ tokens.OrgID, url string) { told <- url } })
}

// keys opens no refresh token while they are gone.
type keys struct {
	tokens.Sealer
	gone bool
}

func (k *keys) Open(sealed []byte, org, field string) ([]byte, error) {
	if k.gone && field == tokens.FieldRefresh {
		return nil, errors.New("no key of this keyset opens it")
	}
	return k.Sealer.Open(sealed, org, field)
}

func TestFailure40AKeyThatIsGoneIsFoundBeforeTheIntent(t *testing.T) {
	k := new(keys)
	through(t, new(way), func(b *bench) {
		b.token()
		before, begun := b.kept(), b.intents()
		k.gone = true
		if _, err := b.Refresh(b.t.Context(), acme); err == nil || !strings.Contains(err.Error(), "keyset") {
			t.Errorf("the person is told %v", err)
		}
		if now := b.kept(); now.Revision != before.Revision || b.intents() != begun {
			t.Errorf("revision %d, was %d, and %d intents, were %d: want that nothing began", now.Revision, before.Revision, b.intents(), begun)
		}
		b.token()
		b.expect(1)
		k.gone = false
		if _, err := b.Refresh(b.t.Context(), acme); err != nil {
			t.Error(err)
		}
		b.expect(2)
	}, func(b *bench, o *tokens.Options) { k.Sealer = b.keys; o.Sealer = k })
}
