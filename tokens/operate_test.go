package tokens_test

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
)

func TestARevokedClientCredentialsGrantIsBegunAnewByAPersonAlone(t *testing.T) {
	world(t, func(b *bench) {
		const app = tokens.OrgID("app")
		b.dir[app] = tokens.Settings{Name: "app", Kind: "client_credentials", SessionTimeout: time.Hour}
		if err := b.Ensure(b.t.Context(), app); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Token(b.t.Context(), app); err != nil {
			t.Fatal(err)
		}
		if err := b.Revoke(b.t.Context(), app); err != nil {
			t.Fatal(err)
		}
		if err := b.Ensure(b.t.Context(), app); err != nil { // the next apply, the next start
			t.Fatal(err)
		}
		if _, err := b.Token(b.t.Context(), app); code(err) != tokens.CodeReauthRequired {
			t.Errorf("a revoked grant came back by itself: %v", err)
		}
		if _, err := b.Refresh(b.t.Context(), app); err != nil {
			t.Fatal(err)
		}
		if tok, err := b.Token(b.t.Context(), app); err != nil || !b.sf.Call(tok) {
			t.Errorf("not begun anew: %v", err)
		}
	})
}

func TestAStoreThatWasEmptiedDoesNotLetAnOldTokenIn(t *testing.T) {
	world(t, func(b *bench) {
		first := secret.NewText(b.sf.Authorise(acme))
		if _, err := b.Import(b.t.Context(), acme, first); err != nil {
			t.Fatal(err)
		}
		b.token()
		b.store.Restore(tokenstest.Snapshot{})
		if _, err := b.Import(b.t.Context(), acme, first); code(err) != tokens.CodeConflict {
			t.Errorf("a token that memory knows to be rotated out entered: %v", err)
		}
	})
}

func TestATokenThatOnlyOurClockCallsDeadIsServedWhenNobodyCanBeAsked(t *testing.T) {
	enrolled(t, func(b *bench) {
		tok := b.token()
		wait(119 * time.Minute)
		b.sf.Introspecting(tokenstest.IntrospectionDown)
		b.storeFails(tokenstest.OpHold)
		wait(2 * time.Minute) // past what we believe
		got, err := b.Token(b.t.Context(), acme)
		if err != nil || got.Place != tok.Place {
			t.Errorf("callers get nothing: %v", err)
		}
		if _, err := b.Replace(b.t.Context(), acme, got); err == nil {
			t.Error("a token that Salesforce refused was served on")
		}
		if _, err := b.Token(b.t.Context(), acme); code(err) != tokens.CodeUnavailable {
			t.Errorf("callers are told %v", err)
		}
		b.store.SetHooks(nil, nil)
	})
}

func TestOthersAreServedWhileAnEarlyRefusalIsWaitedWith(t *testing.T) {
	enrolled(t, func(b *bench) {
		for range 3 { // refused before any success, again and again
			tok, err := b.Token(b.t.Context(), acme)
			if err != nil {
				t.Fatalf("another caller isn't served: %v", err)
			}
			_, _ = b.Replace(b.t.Context(), acme, tok)
		}
		if tok, err := b.Token(b.t.Context(), acme); err != nil || !b.sf.Call(tok) {
			t.Errorf("another caller isn't served: %v", err)
		}
	})
}
