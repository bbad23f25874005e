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

// doubt makes acme's next exchange meet fault, which leaves it in doubt.
func (b *bench) doubt(fault tokenstest.Fault) {
	b.t.Helper()
	b.sf.Next(fault)
	_, _ = b.Refresh(b.t.Context(), acme)
	b.state(tokens.InDoubt, tokens.ReasonNoAnswer)
}

// A session that died overnight must not make the hour of silence look over.
func TestADoubtAboutAnIdleGrantIsAskedAboutBeforeItIsGivenUp(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		wait(10 * time.Hour)
		b.sf.Next(tokenstest.FaultLostBefore)
		for range 3 {
			if _, err := b.Token(b.t.Context(), acme); code(err) != tokens.CodeUnavailable {
				t.Errorf("callers are told %v", err)
			}
			wait(2 * time.Second)
		}
		b.state(tokens.InDoubt, tokens.ReasonNoAnswer)
		wait(6 * time.Minute)
		b.state(tokens.Ready, "")
		b.token()
		b.expect(2)
	})
}

func TestTheHourOfSilenceAboutAnIdleGrantBeginsWithItsDoubt(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		wait(10 * time.Hour)
		b.sf.Introspecting(tokenstest.IntrospectionDown)
		b.sf.Next(tokenstest.FaultLostBefore)
		_, _ = b.Token(b.t.Context(), acme)
		wait(50 * time.Minute)
		b.state(tokens.InDoubt, tokens.ReasonNoAnswer)
		wait(20 * time.Minute)
		b.state(tokens.ReauthRequired, tokens.ReasonUndecided)
		b.expect(1)
	})
}

func TestADoubtThatOutlivedItsProcessByHoursIsStillAskedAbout(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		b.doubt(tokenstest.FaultLostBefore)
		b.with(func(*tokens.Options) { wait(10 * time.Hour) })
		for range 3 {
			if _, err := b.Token(b.t.Context(), acme); code(err) != tokens.CodeUnavailable {
				t.Errorf("callers are told %v", err)
			}
			wait(2 * time.Second)
		}
		b.state(tokens.InDoubt, tokens.ReasonNoAnswer)
		wait(6 * time.Minute)
		b.state(tokens.Ready, "")
		b.token()
		b.expect(2)
	})
}

func TestSendAsksBeforeItSendsATokenOfAnIdleGrantOnceMore(t *testing.T) {
	world(t, func(b *bench) {
		b.policy.Doubt = tokens.AskSend
		b.restart()
		if _, err := b.Import(b.t.Context(), acme, secret.NewText(b.sf.Authorise(acme))); err != nil {
			b.t.Fatal(err)
		}
		b.token()
		wait(10 * time.Hour)
		b.sf.Next(tokenstest.FaultLostAfter)
		for range 3 {
			_, _ = b.Token(b.t.Context(), acme)
			wait(2 * time.Second)
		}
		b.expect(2)
		wait(6 * time.Minute)
		b.state(tokens.ReauthRequired, tokens.ReasonLost)
		b.expect(2)
	})
}

// late makes Salesforce work on the first request by that much later than it
// was given up.
type late struct {
	tokens.Exchanger
	by time.Duration
}

func (x *late) Connect(ctx context.Context, org tokens.OrgID) (tokens.Line, error) {
	l, err := x.Exchanger.Connect(ctx, org)
	if err != nil || x.by == 0 {
		return l, err
	}
	l, x.by = &lateLine{l, x.by}, 0
	return l, nil
}

type lateLine struct {
	tokens.Line
	by time.Duration
}

func (l *lateLine) Send(_ context.Context, c tokens.Credential, guard func() error) (tokens.Answer, bool, error) {
	if err := guard(); err != nil {
		return nil, false, err
	}
	go func() { // ends with the request, which nothing but its lateness delays
		<-time.After(l.by)
		_, _, _ = l.Line.Send(context.Background(), c, func() error { return nil })
	}()
	<-time.After(time.Second)
	return nil, true, errors.New("connection reset by peer")
}

func TestAPersonsRefreshRightAfterADoubtDoesNotOvertakeTheFirstRequest(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.with(func(o *tokens.Options) { o.Exchanger = &late{b.sf, 2 * time.Minute} })
		_, _ = b.Token(b.t.Context(), acme)
		b.state(tokens.InDoubt, tokens.ReasonNoAnswer)
		if _, err := b.Refresh(b.t.Context(), acme); code(err) != tokens.CodeConflict {
			t.Errorf("the person is told %v", err)
		}
		wait(10 * time.Minute)
		b.expect(1)
	})
}

func TestSettleBelievesSpentAtOnceAndLiveOnlyAfterTheTakeoverWait(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		b.doubt(tokenstest.FaultLostAfter)
		if err := b.Settle(b.t.Context(), acme); code(err) != tokens.CodeConflict {
			t.Errorf("the person is told %v", err)
		}
		b.state(tokens.ReauthRequired, tokens.ReasonLost)
		b.token() // the access token serves on
	})
	enrolled(t, func(b *bench) {
		b.token()
		b.doubt(tokenstest.FaultLostBefore)
		if err := b.Settle(b.t.Context(), acme); code(err) != tokens.CodeConflict {
			t.Errorf("the person is told %v", err)
		}
		b.state(tokens.InDoubt, tokens.ReasonNoAnswer)
		wait(5 * time.Minute)
		if err := b.Settle(b.t.Context(), acme); err != nil {
			t.Error(err)
		}
		b.state(tokens.Ready, "")
		if _, err := b.Refresh(b.t.Context(), acme); err != nil {
			t.Error(err)
		}
		b.expect(2)
	})
}

func TestConfirmBelievesLiveOnlyAfterTheTakeoverWait(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		b.doubt(tokenstest.FaultLostBefore)
		if err := b.Confirm(b.t.Context(), acme, true); code(err) != tokens.CodeUnavailable {
			t.Errorf("the person is told %v", err)
		}
		b.state(tokens.InDoubt, tokens.ReasonNoAnswer)
		wait(5 * time.Minute)
		if err := b.Confirm(b.t.Context(), acme, false); err != nil {
			t.Error(err)
		}
		b.state(tokens.Ready, "")
	})
}

func TestAPersonsWordDoesNotStandInForAnAnswerThatWasLost(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		b.doubt(tokenstest.FaultLostAfter)
		b.sf.Introspecting(tokenstest.IntrospectionDown)
		wait(10 * time.Minute)
		if err := b.Confirm(b.t.Context(), acme, true); code(err) != tokens.CodeConflict {
			t.Errorf("the person is told %v", err)
		}
		b.state(tokens.InDoubt, tokens.ReasonNoAnswer)
		_, _ = b.Refresh(b.t.Context(), acme)
		b.expect(2)
	})
}

func TestAPersonsWordCountsWhereNothingWasSent(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		b.sf.Introspecting(tokenstest.IntrospectionDown)
		b.restart()
		_, _ = b.Refresh(b.t.Context(), acme)
		b.state(tokens.InDoubt, tokens.ReasonSilent)
		if err := b.Confirm(b.t.Context(), acme, false); code(err) != tokens.CodeConflict {
			t.Errorf("Salesforce was silent, and the person is told %v", err)
		}
		b.state(tokens.InDoubt, tokens.ReasonSilent)
		if err := b.Confirm(b.t.Context(), acme, true); err != nil {
			t.Error(err)
		}
		if _, err := b.Refresh(b.t.Context(), acme); err != nil {
			t.Error(err)
		}
		b.expect(2)
	})
}

// saves sets what the store says to each of its next saves, before it does
// anything or, of those in landed, after it did it.
func (b *bench) saves(before, landed map[int]error) {
	n := 0
	b.store.SetHooks(func(_ context.Context, op tokenstest.Op, _ tokens.OrgID) error {
		if op != tokenstest.OpSave {
			return nil
		}
		n++
		return before[n]
	}, func(_ context.Context, op tokenstest.Op, _ tokens.OrgID) error {
		if op != tokenstest.OpSave {
			return nil
		}
		return landed[n]
	})
}

func TestARequestThatNeverLeftIsNoDoubtWhateverTheStoreSays(t *testing.T) {
	for name, c := range map[string]struct {
		fault          tokenstest.Fault
		before, landed map[int]error
	}{
		"the intent landed unseen, and fences its own end": {tokenstest.FaultNone, map[int]error{2: tokens.ErrFenced}, map[int]error{1: tokens.ErrUnknown}},
		"the store was away when the intent was to end":    {tokenstest.FaultUnwritten, map[int]error{2: errAway}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			enrolled(t, func(b *bench) {
				b.sf.Next(c.fault)
				b.saves(c.before, c.landed)
				b.token()
				b.state(tokens.Ready, "")
				b.expect(1)
			})
		})
	}
}

// shut opens no refresh token, and counts who tries.
type shut struct {
	tokens.Sealer
	tries int
}

func (s *shut) Open(sealed []byte, org, field string) ([]byte, error) {
	if field == tokens.FieldRefresh {
		s.tries++
		return nil, errors.New("no key")
	}
	return s.Sealer.Open(sealed, org, field)
}

func TestADoubtAboutATokenThatDoesNotOpenEnds(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		b.doubt(tokenstest.FaultLostBefore)
		s := &shut{Sealer: b.keys}
		b.with(func(o *tokens.Options) { o.Sealer = s })
		wait(10 * time.Hour)
		b.state(tokens.ReauthRequired, tokens.ReasonUndecided)
		if s.tries > 500 {
			t.Errorf("tried to open it %d times", s.tries)
		}
		b.expect(1)
	})
}
