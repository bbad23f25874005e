package tokens_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
)

// spy counts introspections of any token, and alters what Salesforce says.
type spy struct {
	tokens.Exchanger
	asked    atomic.Int64
	issue    func(*tokens.Issue)
	liveness func(*tokens.Liveness)
}

func (s *spy) Introspect(ctx context.Context, org tokens.OrgID, sub tokens.Subject) (tokens.Liveness, error) {
	s.asked.Add(1)
	l, err := s.Exchanger.Introspect(ctx, org, sub)
	if s.liveness != nil && l.Active {
		s.liveness(&l)
	}
	return l, err
}

func (s *spy) Parse(a tokens.Answer) (tokens.Issue, error) {
	i, err := s.Exchanger.Parse(a)
	if s.issue != nil && err == nil {
		s.issue(&i)
	}
	return i, err
}

// spied is an enrolled world in which s stands before Salesforce.
func spied(t *testing.T, s *spy, f func(*bench)) {
	t.Helper()
	enrolled(t, func(b *bench) {
		s.Exchanger = b.sf
		b.with(func(o *tokens.Options) { o.Exchanger = s })
		f(b)
	})
}

// rateLimited makes Salesforce refuse n exchanges, so that the next is due in a
// while.
func (b *bench) rateLimited(n int) {
	for range n {
		b.sf.Next(tokenstest.FaultRate)
		_, _ = b.Refresh(b.t.Context(), acme)
	}
}

// switchable is a registry whose orgs can be disabled. It counts who asks, and
// enables them again before a hot loop would stop the clock.
type switchable struct {
	directory
	off   atomic.Bool
	asked atomic.Int64
}

func (d *switchable) Settings(org tokens.OrgID) (tokens.Settings, bool) {
	s, ok := d.directory.Settings(org)
	s.Disabled = d.asked.Add(1) < 1000 && d.off.Load()
	return s, ok
}

func TestADisabledOrgInDoubtIsLeftAlone(t *testing.T) {
	enrolled(t, func(b *bench) {
		d := &switchable{directory: b.dir}
		b.with(func(o *tokens.Options) { o.Directory = d })
		b.token()
		b.sf.Introspecting(tokenstest.IntrospectionDown)
		b.doubt(tokenstest.FaultLostBefore)
		wait(110 * time.Minute) // it was asked about, and nobody answered
		d.off.Store(true)
		b.Reconfigure()
		d.asked.Store(0)
		wait(4 * time.Hour) // beyond the hour of silence
		if n := d.asked.Load(); n > 20 {
			t.Errorf("it was looked at %d times in four hours", n)
		}
	})
}

func TestADoubtThatHasToWaitIsLeftAlone(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		b.doubt(tokenstest.FaultLostBefore)
		d := &switchable{directory: b.dir}
		b.with(func(o *tokens.Options) {
			wait(10 * time.Hour)
			o.Directory = d
		})
		d.asked.Store(0)
		wait(4 * time.Minute) // of the five for which the earlier request may be under way
		if n := d.asked.Load(); n != 0 {
			t.Errorf("it was looked at %d times", n)
		}
	})
}

func TestAStoreThatIsAwayIsTriedEverMoreSeldom(t *testing.T) {
	s := new(spy)
	spied(t, s, func(b *bench) {
		b.token()
		wait(97 * time.Minute)
		b.storeFails(tokenstest.OpLoad, tokenstest.OpHold, tokenstest.OpSave, tokenstest.OpCommit)
		s.asked.Store(0)
		b.token()
		wait(time.Hour)
		if n := s.asked.Load(); n == 0 || n > 100 {
			t.Errorf("%d introspections in an hour in which nobody called", n)
		}
		b.store.SetHooks(nil, nil)
		wait(time.Hour)
		b.token()
		b.expect(2)
	})
}

func TestCallersWhileBackingOffCauseNoQuestions(t *testing.T) {
	s := new(spy)
	spied(t, s, func(b *bench) {
		b.token()
		wait(10 * time.Hour)
		b.rateLimited(8)
		s.asked.Store(0)
		for end := time.Now().Add(15 * time.Second); time.Now().Before(end); { // who waits half a minute then doesn't outlast the 48 seconds or more
			if _, err := b.Token(b.t.Context(), acme); code(err) != tokens.CodeUnavailable {
				t.Errorf("callers are told %v", err)
			}
			wait(time.Second)
		}
		if n := s.asked.Load(); n != 0 {
			t.Errorf("%d introspections", n)
		}
	})
}

func TestAReconfigurationKeepsTheBackOff(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.rateLimited(8)
		b.Reconfigure()
		ctx, cancel := context.WithTimeout(b.t.Context(), 5*time.Second)
		defer cancel()
		if _, err := b.Token(ctx, acme); err == nil {
			t.Error("a token came")
		}
		b.expect(8)
	})
}

func TestTheCapDoesNotMakeTheLookAheadSpin(t *testing.T) {
	s := new(spy)
	spied(t, s, func(b *bench) {
		b.sf.Session = 15 * time.Minute
		b.dir[acme] = tokens.Settings{Name: "acme", Kind: "refresh_token", SingleUse: true, SessionTimeout: 15 * time.Minute}
		b.with(func(o *tokens.Options) { o.Exchanger = s })
		for range 60 {
			if _, err := b.Refresh(b.t.Context(), acme); err != nil {
				b.t.Fatal(err)
			}
		}
		b.token()
		wait(14 * time.Minute)
		b.token()
		s.asked.Store(0)
		wait(31 * time.Minute)
		if n := s.asked.Load(); n > 50 {
			t.Errorf("%d introspections", n)
		}
		b.expect(60)
	})
}

func TestAnswersWithoutAnAccessTokenStartNoStorm(t *testing.T) {
	spied(t, &spy{issue: func(i *tokens.Issue) { i.Access = secret.Text{} }}, func(b *bench) {
		if _, err := b.Token(b.t.Context(), acme); code(err) != tokens.CodeUnavailable {
			t.Errorf("the caller is told %v", err)
		}
		if n, _ := b.sf.Seen(); n > 6 {
			t.Errorf("%d exchanges for one caller", n)
		}
	})
}

func TestAClockThatIsAheadDoesNotEndAJWTAtOnce(t *testing.T) {
	spied(t, &spy{issue: func(i *tokens.Issue) {
		i.IssuedAt = time.Now().Add(-time.Hour)
		i.ExpiresAt = i.IssuedAt.Add(30 * time.Minute)
	}}, func(b *bench) {
		b.token()
		wait(20 * time.Minute)
		b.token()
		b.expect(1)
	})
}

func TestAClockThatIsAheadDoesNotEndATokenThatIntrospectionCallsLive(t *testing.T) {
	spied(t, &spy{liveness: func(l *tokens.Liveness) { l.ExpiresAt = l.ExpiresAt.Add(-time.Hour) }}, func(b *bench) {
		b.sf.Latency = 20 * time.Second
		b.token()
		wait(90 * time.Minute)
		for range 10 * 60 {
			wait(time.Second)
			start := time.Now()
			b.token()
			if d := time.Since(start); d > 0 {
				b.t.Fatalf("a caller waited %s for the next one", d)
			}
		}
		b.expect(2)
	})
}

func TestALivingTokenIsServedWhileAnAnswerIsPending(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.sf.Session = 12 * time.Hour // two are believed
		b.storeFails(tokenstest.OpCommit)
		b.token()
		wait(3 * time.Hour)
		b.token()
		b.store.SetHooks(nil, nil)
		wait(2 * time.Minute)
		b.token()
		b.expect(1)
	})
}

func TestCallersThatGiveUpLeaveTheExchangeAlone(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.sf.Latency = 40 * time.Second
		told := make(chan error, 4)
		for range cap(told) {
			go func() { _, err := b.Token(b.t.Context(), acme); told <- err }()
		}
		for range cap(told) {
			if err := <-told; code(err) != tokens.CodeUnavailable {
				t.Errorf("a caller is told %v", err)
			}
		}
		wait(20 * time.Second)
		b.token()
		b.expect(1)
	})
}

// A thousand grants that came due while nobody ran don't fall on Salesforce at
// once, and the one that is nearest to its limit goes first.
func TestHeartbeatsAfterAnOutageComeInTurnTheLongestIdleFirst(t *testing.T) {
	world(t, func(b *bench) {
		const n = 1000
		var orgs []tokens.OrgID
		for i := range n {
			org := tokens.OrgID(fmt.Sprintf("org-%03d", i))
			orgs = append(orgs, org)
			b.dir[org] = tokens.Settings{Name: string(org), Kind: "refresh_token", SingleUse: true, SessionTimeout: 2 * time.Hour, ClientID: "app"}
			if _, err := b.Import(b.t.Context(), org, secret.NewText(b.sf.Authorise(org))); err != nil {
				t.Fatal(err)
			}
			wait(time.Second)
		}
		b.stop()
		wait(29 * 24 * time.Hour)
		b.store.Restart()
		start := time.Now()
		b.start()
		wait(10 * time.Second)
		first := b.store.Exchanges()
		if len(first) < 50 || len(first) > 110 {
			t.Errorf("%d heartbeats within ten seconds, want about a hundred", len(first))
		}
		for i, e := range first[:20] {
			if e.Org != orgs[i] {
				t.Errorf("heartbeat %d is that of %s, want %s: the longest idle first", i, e.Org, orgs[i])
			}
		}
		wait(5 * time.Minute)
		if requests, _ := b.sf.Seen(); requests != n {
			t.Errorf("%d exchanges %v after the start, want one a grant", requests, time.Since(start))
		}
		b.expect(n)
	})
}
