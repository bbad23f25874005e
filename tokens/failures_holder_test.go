package tokens_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
	"github.com/sallyport/sallyport/tokens/tokenstest/crashfs"
)

// storeOps are the operations of a store that is away.
var storeOps = []tokenstest.Op{tokenstest.OpLoad, tokenstest.OpAll, tokenstest.OpHold, tokenstest.OpSave, tokenstest.OpCommit, tokenstest.OpClaim, tokenstest.OpClaimant}

func TestFailure01AHolderPausedBeforeItsRequestSendsNothing(t *testing.T) {
	w := new(way)
	through(t, w, func(b *bench) {
		w.before = func() { <-time.After(31 * time.Second) } // over half of the minute that an exchange may last
		_, _ = b.Refresh(b.t.Context(), acme)
		b.expect(0)
		b.state(tokens.Ready, "")
		w.before = nil
		b.token()
		b.expect(1)
	})
}

func TestFailure01AHolderWhoseLockIsGoneSendsNothing(t *testing.T) {
	w := new(way)
	through(t, w, func(b *bench) {
		w.before = func() { b.store.Expire(acme) }
		_, _ = b.Refresh(b.t.Context(), acme)
		b.expect(0)
		w.before = nil
		b.token()
		b.expect(1)
	})
}

// The connection stands before the intent does, so that a pause can only fall
// between two writes.
func TestFailure01TheConnectionStandsBeforeTheIntent(t *testing.T) {
	w := new(way)
	through(t, w, func(b *bench) {
		w.connect = func(context.Context) error {
			if r := b.kept(); r.State != tokens.Ready || b.intents() != 0 {
				t.Errorf("the store shows %s, and the journal %d intents, before there is a connection", r.State, b.intents())
			}
			return nil
		}
		b.token()
	})
}

func TestFailure02TheOtherDoesNotSendWhileTheHolderIsPaused(t *testing.T) {
	replicas(t, 2, func(fl *fleet) {
		release := fl.sf.Hold()
		refreshing(fl.Broker)
		wait(time.Second)
		fl.store.Expire(acme) // paused for longer than the lock lasts
		if _, err := fl.others[0].Token(fl.t.Context(), acme); code(err) != tokens.CodeUnavailable {
			t.Errorf("the other's caller is told %v", err)
		}
		release()
		wait(time.Second)
		fl.expect(1)
		fl.state(tokens.Ready, "")
		if tok, err := fl.others[0].Token(fl.t.Context(), acme); err != nil || !fl.sf.Call(tok) {
			t.Errorf("the paused holder's answer doesn't serve the other: %v", err)
		}
	})
}

func TestFailure03ALockThatAFailoverLostIsNoLeaveToSend(t *testing.T) {
	replicas(t, 2, func(fl *fleet) {
		release := fl.sf.Hold()
		refreshing(fl.Broker)
		wait(time.Second)
		fl.store.Restart()
		if _, err := fl.others[0].Token(fl.t.Context(), acme); code(err) != tokens.CodeUnavailable {
			t.Errorf("the other's caller is told %v", err)
		}
		release()
		wait(time.Second)
		fl.expect(1)
		if tok, err := fl.others[0].Token(fl.t.Context(), acme); err != nil || !fl.sf.Call(tok) {
			t.Errorf("the answer doesn't serve the other: %v", err)
		}
	})
}

func TestFailure03AnIntentThatTooFewReplicasHaveIsNotSent(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.saves(nil, map[int]error{1: tokens.ErrShort})
		if _, err := b.Refresh(b.t.Context(), acme); err == nil {
			t.Error("an exchange succeeded though a failover could lose its intent")
		}
		b.expect(0)
		b.state(tokens.Ready, "")
		b.token()
		b.expect(1)
	})
}

func TestFailure05ACrashBeforeTheRequestEndsReady(t *testing.T) {
	for name, lost := range map[string]bool{"the store has the intent": false, "only the journal has the intent": true} {
		t.Run(name, func(t *testing.T) {
			w := new(way)
			through(t, w, func(b *bench) {
				w.before = func() { <-time.After(10 * time.Second) }
				refreshing(b.Broker)
				wait(time.Second)
				b.end((*crashfs.FS).Kill, func() {
					if lost {
						b.store.Regress(1)
					}
				})
				b.state(tokens.InDoubt, tokens.ReasonNoAnswer)
				if _, err := b.Token(b.t.Context(), acme); code(err) != tokens.CodeUnavailable {
					t.Errorf("callers are told %v", err)
				}
				b.expect(0)
				wait(6 * time.Minute)
				b.state(tokens.Ready, "")
				b.token()
				b.expect(1)
			})
		})
	}
}

func TestFailure06ACrashBeforeTheAnswerIsAskedAboutAndNeverSentAgain(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		b.sf.Latency = time.Second
		b.sf.Next(tokenstest.FaultLostAfter)
		refreshing(b.Broker)
		wait(500 * time.Millisecond)
		b.end((*crashfs.FS).Kill, nil)
		b.state(tokens.InDoubt, tokens.ReasonNoAnswer)
		b.token()
		wait(119 * time.Minute)
		b.state(tokens.ReauthRequired, tokens.ReasonLost)
		b.token() // to its last minute
		wait(100 * time.Hour)
		b.expect(2)
	})
}

func TestFailure07AnAnswerSurvivesALossOfPowerBeforeItsCommit(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.storeFails(tokenstest.OpCommit)
		tok := b.token()
		b.end((*crashfs.FS).Crash, nil)
		b.state(tokens.Ready, "")
		if got := b.token(); got.Place != tok.Place {
			t.Errorf("token of %v, want the journalled one of %v", got.Place, tok.Place)
		}
		if _, err := b.Refresh(b.t.Context(), acme); err != nil {
			t.Errorf("the recovered token doesn't exchange: %v", err)
		}
		b.expect(2)
	})
}

func TestFailure42TheEndOfTheProcessWaitsForTheAnswer(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.sf.Latency = 40 * time.Second
		refreshing(b.Broker)
		wait(time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second) // what tunnels get
		defer cancel()
		if err := b.Drain(ctx); err != nil {
			t.Error(err)
		}
		if r := b.kept(); r.State != tokens.Ready || r.Generation != 2 {
			t.Errorf("it ended with the grant %s at generation %d", r.State, r.Generation)
		}
		b.expect(1)
	})
}

func TestFailure42NothingIsSentOnceTheProcessIsToEnd(t *testing.T) {
	w := new(way)
	through(t, w, func(b *bench) {
		w.before = func() { <-time.After(2 * time.Second) }
		told := make(chan error, 1)
		go func() { _, err := b.Token(b.t.Context(), acme); told <- err }()
		wait(time.Second)
		if err := b.Drain(b.t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-told; code(err) != tokens.CodeShuttingDown {
			t.Errorf("the caller is told %v", err)
		}
		b.expect(0)
		if r := b.kept(); r.State != tokens.Ready {
			t.Errorf("it ended with the grant %s", r.State)
		}
	})
}

// A process is killed at many instants of an exchange: the grant ends ready
// wherever its answer came, and nothing is ever sent twice.
func TestFailure43AKillAtAnyInstantReplaysNothing(t *testing.T) {
	for _, ms := range []int{0, 500, 999, 1000, 1500, 2000, 2500, 3000, 3500} {
		at := time.Duration(ms) * time.Millisecond
		w := new(way)
		through(t, w, func(b *bench) {
			b.sf.Latency = time.Second // from the first second to the second
			w.before = func() { <-time.After(time.Second) }
			answered := false
			w.after = func(s *sentBack) {
				answered = s.sent
				<-time.After(time.Second)
			}
			b.store.SetHooks(func(_ context.Context, op tokenstest.Op, _ tokens.OrgID) error {
				if op == tokenstest.OpCommit {
					<-time.After(time.Second)
				}
				return nil
			}, nil)
			refreshing(b.Broker)
			wait(at)
			b.end((*crashfs.FS).Kill, nil)
			wait(10 * time.Minute)
			st, _ := b.Status(acme)
			lost := answered && ms < 3000 // Salesforce rotated, and no journal has it
			if lost != (st.State == tokens.ReauthRequired) || !lost && st.State != tokens.Ready {
				t.Errorf("killed after %s: %s %s, answered %t", at, st.State, st.Reason, answered)
			}
			if !lost {
				b.token()
			}
			if _, replays := b.sf.Seen(); replays != 0 {
				t.Errorf("killed after %s: %d replays", at, replays)
			}
		})
	}
}

// errGone is how a connection ends that was in the way of an answer.
var errGone = errors.New("connection reset by peer")
