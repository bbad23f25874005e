package tokens_test

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
	"github.com/sallyport/sallyport/tokens/tokenstest/crashfs"
)

var errAway = errors.New("the store is away")

// storeFails makes every operation of the kinds fail, nothing done.
func (b *bench) storeFails(ops ...tokenstest.Op) {
	b.store.SetHooks(func(_ context.Context, op tokenstest.Op, _ tokens.OrgID) error {
		for _, o := range ops {
			if o == op {
				return errAway
			}
		}
		return nil
	}, nil)
}

// crash ends the process at this instant: what the disk has is all that the
// next one finds.
func (b *bench) crash() {
	b.t.Helper()
	disk := b.disk.Kill()
	old, oldJournal := b.Broker, b.journal
	b.store.SetHooks(func(context.Context, tokenstest.Op, tokens.OrgID) error { return errAway }, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = old.Drain(ctx)     // it is gone: nothing of it reaches the store any more
	_ = oldJournal.Close() // nor the disk
	b.store.SetHooks(nil, nil)
	b.store.Restart()
	b.disk = disk
	b.start()
}

// Invariant 2, failures 7 and 18: from the journal's fsync on, the new token
// survives the store's refusal and the process's end.
func TestAnAnswerThatTheStoreRefusesIsServedAndSurvivesACrash(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.storeFails(tokenstest.OpCommit)
		tok := b.token()
		if _, err := b.Refresh(b.t.Context(), acme); code(err) != tokens.CodeUnavailable && code(err) != tokens.CodeConflict {
			t.Errorf("another exchange began before the last answer was kept: %v", err)
		}
		b.expect(1)
		b.crash()
		b.state(tokens.Ready, "")
		if got := b.token(); got.Place != tok.Place {
			t.Errorf("token of %v, want the journalled one of %v", got.Place, tok.Place)
		}
		b.expect(1)
		if _, err := b.Refresh(b.t.Context(), acme); err != nil {
			t.Errorf("the recovered token doesn't exchange: %v", err)
		}
		b.expect(2)
	})
}

func TestAnAnswerIsCommittedOnceTheStoreIsBack(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.storeFails(tokenstest.OpCommit)
		b.token()
		wait(10 * time.Minute)
		b.store.SetHooks(nil, nil)
		wait(2 * time.Minute)
		if r, err := b.store.Load(b.t.Context(), acme); err != nil || r.Generation != 2 || r.State != tokens.Ready {
			t.Errorf("the store has generation %d in %s: %v", r.Generation, r.State, err)
		}
		if _, err := b.Refresh(b.t.Context(), acme); err != nil {
			t.Error(err)
		}
		b.expect(2)
	})
}

// Failures 5 and 6: a process that ends between the intent and the answer
// leaves a doubt, which is asked about and never sent again to see.
func TestACrashWithinTheExchangeIsADoubt(t *testing.T) {
	for name, c := range map[string]struct {
		fault tokenstest.Fault
		state tokens.State
	}{
		"before Salesforce had it": {tokenstest.FaultLostBefore, tokens.Ready},
		"after Salesforce rotated": {tokenstest.FaultLostAfter, tokens.ReauthRequired},
	} {
		t.Run(name, func(t *testing.T) {
			enrolled(t, func(b *bench) {
				b.token()
				b.sf.Next(c.fault)
				b.sf.Latency = time.Second
				go func() { _, _ = b.Refresh(context.Background(), acme) }()
				<-time.After(500 * time.Millisecond)
				b.crash()
				synctest.Wait()
				b.state(tokens.InDoubt, tokens.ReasonNoAnswer)
				b.token()
				wait(119 * time.Minute)
				st, _ := b.Status(acme)
				if st.State != c.state {
					t.Errorf("ended %s, want %s", st.State, c.state)
				}
				b.expect(2)
			})
		})
	}
}

// Failure 56, trace T15: a full or broken disk ends an exchange before an
// intent exists; one that breaks under the answer loses nothing.
func TestADiskThatFails(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.disk.Fail(func(op crashfs.Op, _ string) error {
			if op == crashfs.OpWrite || op == crashfs.OpReserve {
				return syscall.ENOSPC
			}
			return nil
		})
		if _, err := b.Token(b.t.Context(), acme); code(err) != tokens.CodeUnavailable {
			t.Errorf("callers are told %v", err)
		}
		b.state(tokens.Ready, "")
		b.expect(0)
		b.disk.Fail(nil)
		wait(2 * time.Minute)
		b.token()
		b.expect(1)
	})
	enrolled(t, func(b *bench) {
		b.token()
		release := b.sf.Hold()
		done := make(chan error, 1)
		go func() { _, err := b.Refresh(b.t.Context(), acme); done <- err }()
		<-time.After(time.Second)
		b.disk.Fail(func(op crashfs.Op, _ string) error {
			if op == crashfs.OpSync {
				return syscall.EIO
			}
			return nil
		})
		release()
		if err := <-done; err != nil {
			t.Errorf("an answer that the disk refused was dropped: %v", err)
		}
		if r, err := b.store.Load(b.t.Context(), acme); err != nil || r.Generation != 3 {
			t.Errorf("the store has generation %d: %v", r.Generation, err)
		}
		if _, err := b.Refresh(b.t.Context(), acme); err == nil {
			t.Error("another exchange began on a disk that failed")
		}
		b.expect(2)
		b.disk.Fail(nil)
	})
}

// Trace T7: an intent whose write is unknown is not sent, and is taken back.
func TestAnIntentOfUnknownFateIsNotSent(t *testing.T) {
	for name, landed := range map[string]bool{"it landed": true, "it did not land": false} {
		t.Run(name, func(t *testing.T) {
			enrolled(t, func(b *bench) {
				saves := 0
				hook := func(_ context.Context, op tokenstest.Op, _ tokens.OrgID) error {
					if op != tokenstest.OpSave {
						return nil
					}
					if saves++; saves == 1 {
						return tokens.ErrUnknown
					}
					return nil
				}
				if landed {
					b.store.SetHooks(nil, hook)
				} else {
					b.store.SetHooks(hook, nil)
				}
				if _, err := b.Refresh(b.t.Context(), acme); err == nil {
					t.Error("an exchange succeeded though its intent was unknown")
				}
				b.expect(0)
				b.store.SetHooks(nil, nil)
				wait(10 * time.Minute)
				b.token()
				b.expect(1)
			})
		})
	}
}

// Failures 46 and 51: no token enters twice.
func TestATokenEntersOnce(t *testing.T) {
	world(t, func(b *bench) {
		first := secret.NewText(b.sf.Authorise(acme))
		if _, err := b.Import(b.t.Context(), acme, first); err != nil {
			t.Fatal(err)
		}
		if again, err := b.Import(b.t.Context(), acme, first); err != nil || !again.Already {
			t.Errorf("the current token again: %+v, %v", again, err)
		}
		b.token()
		if _, err := b.Import(b.t.Context(), acme, first); code(err) != tokens.CodeConflict {
			t.Errorf("a rotated-out token entered: %v", err)
		}
		b.dir["other"] = tokens.Settings{Name: "other", Kind: "refresh_token", SingleUse: true}
		if _, err := b.Import(b.t.Context(), "other", first); code(err) != tokens.CodeConflict {
			t.Errorf("another org's token entered: %v", err)
		}
		b.restart()
		if _, err := b.Import(b.t.Context(), acme, first); code(err) != tokens.CodeConflict {
			t.Errorf("a rotated-out token entered after a restart: %v", err)
		}
		if used, err := b.Seed(b.t.Context(), acme, first); used || err != nil {
			t.Errorf("a seed that was rotated out was used: %v %v", used, err)
		}
		b.token()
		b.expect(1)
	})
}

// Trace T13: with the embedded store each start is a new identity, which costs
// one introspection before the first exchange.
func TestAfterARestartTheTokenIsVerifiedBeforeItIsSent(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		b.restart()
		asked := b.sf.Questions()
		b.token()
		if q := b.sf.Questions(); q != asked {
			t.Errorf("asked %d times though no exchange was wanted", q-asked)
		}
		if _, err := b.Refresh(b.t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		if q := b.sf.Questions(); q != asked+1 {
			t.Errorf("asked %d times before the first exchange, want once", q-asked)
		}
		if _, err := b.Refresh(b.t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		if q := b.sf.Questions(); q != asked+1 {
			t.Errorf("asked again, %d times", q-asked)
		}
		b.expect(3)
	})
}

func TestRevokeAndForget(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		if err := b.Revoke(b.t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		b.state(tokens.ReauthRequired, tokens.ReasonRevoked)
		if _, err := b.Token(b.t.Context(), acme); code(err) != tokens.CodeReauthRequired {
			t.Errorf("callers are told %v", err)
		}
		b.restart() // no journalled answer brings it back
		b.state(tokens.ReauthRequired, tokens.ReasonRevoked)
		if _, err := b.Import(b.t.Context(), acme, secret.NewText(b.sf.Authorise(acme))); err != nil {
			t.Fatal(err)
		}
		b.token()
		if err := b.Forget(b.t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		b.restart()
		r, err := b.store.Load(b.t.Context(), acme)
		if err != nil || len(r.Refresh)+len(r.Access)+len(r.Orphans) != 0 {
			t.Errorf("a forgotten grant keeps secrets: %d bytes, %d orphans, %v", len(r.Refresh)+len(r.Access), len(r.Orphans), err)
		}
		for e, err := range b.journal.Entries() {
			if err != nil || len(e.Answer)+len(e.Record.Refresh) != 0 {
				t.Errorf("the journal keeps %d bytes of a forgotten grant: %v", len(e.Answer)+len(e.Record.Refresh), err)
			}
		}
	})
}

func TestAPersonsAuthorisationEndsADoubtAndKeepsTheOldTokenAside(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		b.sf.Next(tokenstest.FaultLostAfter)
		_, _ = b.Refresh(b.t.Context(), acme)
		b.state(tokens.InDoubt, tokens.ReasonNoAnswer)
		if _, err := b.Import(b.t.Context(), acme, secret.NewText(b.sf.Authorise(acme))); err != nil {
			t.Fatal(err)
		}
		b.state(tokens.Ready, "")
		b.token() // the older access token serves on
		if _, err := b.Refresh(b.t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		b.token()
		if st, _ := b.Status(acme); st.Orphans != 1 {
			t.Errorf("%d orphans, want the doubtful token", st.Orphans)
		}
		if b.sf.Revoked != 0 {
			t.Error("a machine revoked an orphan")
		}
	})
}
