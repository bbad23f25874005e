package tokens_test

import (
	"context"
	"iter"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/journal"
	"github.com/sallyport/sallyport/tokens/tokenstest"
	"github.com/sallyport/sallyport/tokens/tokenstest/crashfs"
)

// fleet is several replicas on one store, each with a disk of its own.
type fleet struct {
	*bench // the replica r1, and what all share
	air    *air
	others []*tokens.Broker
}

// replicas runs f with n replicas that share a store that isn't exclusive, and
// hear each other. acme is enrolled through the first.
func replicas(t *testing.T, n int, f func(*fleet)) {
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
		a := &air{}
		store := tokenstest.NewMem(tokenstest.MemOptions{})
		b := &bench{t: t, sf: tokenstest.NewForce(), store: store, disk: crashfs.New(1), keys: keys,
			dir: directory{acme: {Name: "acme", Kind: "refresh_token", SingleUse: true, SessionTimeout: 2 * time.Hour, ClientID: "app"}}}
		fl := &fleet{bench: b, air: a}
		b.startWith(fl.on)
		if _, err := b.Import(t.Context(), acme, secret.NewText(b.sf.Authorise(acme))); err != nil {
			t.Fatal(err)
		}
		for i := range n - 1 {
			fl.join("r"+string(rune('2'+i)), fl.on)
		}
		f(fl)
		b.stop()
	})
}

func (fl *fleet) on(o *tokens.Options) {
	o.Store, o.Watcher, o.Asker = heardStore{fl.store, fl.air}, fl.air, fl.air
}

// join starts another replica on a disk of its own; it is drained at the end.
func (fl *fleet) join(name string, change func(*tokens.Options)) *tokens.Broker {
	fl.t.Helper()
	j, err := journal.Open(journal.Options{Dir: "/state/journal", Sealer: fl.keys, FS: crashfs.New(2)})
	if err != nil {
		fl.t.Fatal(err)
	}
	o := tokens.Options{Store: fl.store, Claims: fl.store, Journal: j, Exchanger: fl.sf, Sealer: fl.keys, Fingerprint: hashes{},
		Directory: fl.dir, History: fl.store, Replica: name, Deployment: "d1", Policy: fl.policy, Logger: slog.New(slog.DiscardHandler)}
	change(&o)
	b, err := tokens.NewBroker(o)
	if err != nil {
		fl.t.Fatal(err)
	}
	if err := b.Recover(fl.t.Context()); err != nil {
		fl.t.Fatal(err)
	}
	fl.others = append(fl.others, b)
	fl.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		if err := b.Drain(ctx); err != nil {
			fl.t.Error(err)
		}
		if err := j.Close(); err != nil {
			fl.t.Error(err)
		}
	})
	return b
}

// air carries what is written to all that listen.
type air struct {
	mu   sync.Mutex
	ears map[chan tokens.Record]bool // guarded by mu
	able []func(tokens.Want)         // guarded by mu: who hears wants
	dead bool                        // guarded by mu: nothing is carried
}

func (a *air) Watch(ctx context.Context, heard func(tokens.Record)) error {
	ear := make(chan tokens.Record, 100)
	a.mu.Lock()
	if a.ears == nil {
		a.ears = map[chan tokens.Record]bool{}
	}
	a.ears[ear] = true
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.ears, ear)
	}()
	for {
		select {
		case r := <-ear:
			heard(r)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (a *air) Ask(_ context.Context, w tokens.Want) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range a.able {
		go f(w) // ends with the broker's own goroutine begun
	}
	return nil
}

func (a *air) Asked(ctx context.Context, wanted func(tokens.Want)) error {
	a.mu.Lock()
	a.able = append(a.able, wanted)
	a.mu.Unlock()
	<-ctx.Done()
	return ctx.Err()
}

func (a *air) say(r tokens.Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for ear := range a.ears {
		if !a.dead {
			ear <- r
		}
	}
}

func (a *air) silence(yes bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dead = yes
}

// heardStore says what is written, as stores that replicas share do.
type heardStore struct {
	*tokenstest.Mem
	air *air
}

func (s heardStore) Commit(ctx context.Context, org tokens.OrgID, c tokens.Committed) (tokens.Record, tokens.Landing, error) {
	r, l, err := s.Mem.Commit(ctx, org, c)
	if err == nil {
		s.air.say(r)
	}
	return r, l, err
}

func (s heardStore) Hold(ctx context.Context, org tokens.OrgID, fn func(context.Context, tokens.Hold) error) error {
	return s.Mem.Hold(ctx, org, func(ctx context.Context, h tokens.Hold) error { return fn(ctx, heardHold{h, s.air}) })
}

type heardHold struct {
	tokens.Hold
	air *air
}

func (h heardHold) Save(ctx context.Context, r tokens.Record) error {
	err := h.Hold.Save(ctx, r)
	if err == nil {
		r, _ = h.Record()
		h.air.say(r)
	}
	return err
}

func TestReplicasNeedOneExchangeBetweenThem(t *testing.T) {
	replicas(t, 4, func(fl *fleet) {
		fl.sf.Latency = time.Second
		var wg sync.WaitGroup
		for _, b := range append(fl.others, fl.Broker) {
			for range 50 {
				wg.Go(func() {
					if _, err := b.Token(fl.t.Context(), acme); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		fl.expect(1)
		for _, e := range fl.store.Exchanges() {
			if e.Race == "lost" && (e.Winner == "" || e.Winner == e.Replica) {
				t.Errorf("%s lost the race to %q", e.Replica, e.Winner)
			}
		}
	})
}

// A waiter learns of the commit by the news of it, not by getting the lock.
func TestAWaiterHearsTheTokenBeforeTheLockIsFree(t *testing.T) {
	replicas(t, 2, func(fl *fleet) {
		fl.sf.Latency = time.Second
		slow := fl.others[0]
		free := make(chan struct{})
		go func() { // holds the lock beyond the commit, until free
			_ = fl.store.Hold(fl.t.Context(), acme, func(ctx context.Context, h tokens.Hold) error {
				<-free
				return nil
			})
		}()
		synctest.Wait()
		got := make(chan error, 1)
		go func() {
			_, err := slow.Token(fl.t.Context(), acme)
			got <- err
		}()
		synctest.Wait()
		r, err := fl.store.Load(fl.t.Context(), acme)
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := fl.keys.Seal([]byte("00D-another-replica's"), string(acme), tokens.FieldAccess)
		if err != nil {
			t.Fatal(err)
		}
		r.Generation, r.Revision, r.Access, r.AccessAt = r.Generation+1, r.Revision+1, sealed, time.Now()
		r.AccessPlace = r.Place
		start := time.Now()
		fl.air.say(r)
		if err := <-got; err != nil || time.Since(start) > 0 {
			t.Errorf("the waiter has %v after %v, want the token at once", err, time.Since(start))
		}
		close(free)
		synctest.Wait()
		fl.expect(0)
	})
}

func TestAReplicaThatJustStartedAsksBeforeItsFirstExchange(t *testing.T) {
	replicas(t, 2, func(fl *fleet) {
		fl.token()
		synctest.Wait() // the other has heard of it
		before := fl.sf.Questions()
		fl.sf.Kill(acme)
		old, err := fl.others[0].Token(fl.t.Context(), acme)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fl.others[0].Replace(fl.t.Context(), acme, old); err != nil {
			t.Fatal(err)
		}
		// It heard of the first exchange, so that it knows the record as written.
		if asked := fl.sf.Questions() - before; asked != 0 {
			t.Errorf("a replica that heard of the grant asked %d times, want 0", asked)
		}
		fl.sf.Kill(acme)
		late := fl.join("late", fl.on)
		if old, err = late.Token(fl.t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		if _, err := late.Replace(fl.t.Context(), acme, old); err != nil {
			t.Fatal(err)
		}
		if asked := fl.sf.Questions() - before; asked != 1 {
			t.Errorf("a replica that just started asked %d times before its first exchange, want 1", asked)
		}
		fl.expect(3)
	})
}

// A store that went back under an unchanged identity fools whoever wasn't there.
func TestAReplicaThatJustStartedNeverReplaysWhatAStaleStoreShows(t *testing.T) {
	replicas(t, 1, func(fl *fleet) {
		fl.token()
		stale, err := fl.store.Load(fl.t.Context(), acme)
		if err != nil {
			t.Fatal(err)
		}
		old := fl.token()
		fl.sf.Kill(acme)
		if _, err := fl.Replace(fl.t.Context(), acme, old); err != nil {
			t.Fatal(err)
		}
		if err := fl.store.Plant(stale); err != nil {
			t.Fatal(err)
		}
		late := fl.join("late", fl.on)
		fl.sf.Kill(acme)
		if old, err = late.Token(fl.t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		_, err = late.Replace(fl.t.Context(), acme, old)
		if code(err) != tokens.CodeReauthRequired {
			t.Errorf("got %v, want reauth_required: introspection says that the token is spent", err)
		}
		fl.expect(2)
	})
}

func TestAReplacedStoreSettlesBeforeAnyoneAsksOrExchanges(t *testing.T) {
	replicas(t, 1, func(fl *fleet) {
		old := fl.token()
		fl.store.Restart()
		fl.sf.Kill(acme)
		asked := fl.sf.Questions()
		if _, err := fl.Replace(fl.t.Context(), acme, old); code(err) != tokens.CodeUnavailable {
			t.Errorf("got %v, want token_unavailable while the store settles", err)
		}
		if _, err := fl.Refresh(fl.t.Context(), acme); err == nil {
			t.Error("a person's command skipped the settling time")
		}
		if err := fl.Settle(fl.t.Context(), acme); err == nil {
			t.Error("grant settle skipped the settling time")
		}
		if n := fl.sf.Questions() - asked; n != 0 {
			t.Errorf("%d questions while the store settles, want none", n)
		}
		fl.expect(1)
		wait(6 * time.Minute)
		fl.token()
		if n := fl.sf.Questions() - asked; n != 2 {
			t.Errorf("%d questions after it settled, want two with a pause between", n)
		}
		fl.expect(2)
	})
}

// While its access token lives there is no hurry to ask about a token that may
// be spent.
func TestAReplacedStoreIsAskedAboutLate(t *testing.T) {
	replicas(t, 1, func(fl *fleet) {
		fl.sf.Session = 2 * time.Hour
		fl.token()
		wait(60 * time.Minute)
		fl.store.Restart()
		if err := fl.Realign(fl.t.Context()); err != nil {
			t.Fatal(err)
		}
		asked := fl.sf.Questions()
		for range 4 { // to the 100th minute of 120
			wait(10 * time.Minute)
			if _, err := fl.Token(fl.t.Context(), acme); err != nil {
				t.Fatal(err)
			}
		}
		wait(2 * time.Minute)
		if n := fl.sf.Questions() - asked; n != 0 {
			t.Errorf("%d questions with a sixth of the access token's life left, want none", n)
		}
		wait(7 * time.Minute)
		if _, err := fl.Token(fl.t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		wait(5 * time.Minute)
		if n := fl.sf.Questions() - asked; n != 2 {
			t.Errorf("%d questions with under a tenth left, want 2", n)
		}
		fl.token()
		fl.expect(2)
	})
}

func TestAStoreThatWentBackIsHealedAsSoonAsItIsNoticed(t *testing.T) {
	replicas(t, 2, func(fl *fleet) {
		fl.token()
		synctest.Wait()     // the other has heard of it
		fl.store.Regress(2) // the answer, and what came right before it
		if err := fl.others[0].Realign(fl.t.Context()); err != nil {
			t.Fatal(err)
		}
		r, err := fl.store.Load(fl.t.Context(), acme)
		if err != nil || r.Generation != 2 || r.State != tokens.InDoubt || r.Verified != "" {
			t.Errorf("the store shows generation %d, %s, verified %q (%v); want 2, in doubt and unverified", r.Generation, r.State, r.Verified, err)
		}
	})
}

func TestACopyThatNobodyRemembersIsQuarantined(t *testing.T) {
	for name, vouched := range map[string]bool{"nobody remembers it": false, "a living replica vouches for it": true} {
		t.Run(name, func(t *testing.T) {
			replicas(t, 2, func(fl *fleet) {
				fl.token()
				synctest.Wait()
				fl.store.Restart()
				if vouched {
					if err := fl.others[0].Realign(fl.t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				fl.air.silence(true)
				late := fl.join("late", fl.on)
				if err := late.Realign(fl.t.Context()); err != nil {
					t.Fatal(err)
				}
				wait(7 * time.Minute)
				fl.sf.Kill(acme)
				tok, err := late.Token(fl.t.Context(), acme)
				if err != nil {
					t.Fatal(err)
				}
				_, err = late.Replace(fl.t.Context(), acme, tok)
				st, _ := late.Status(acme)
				switch {
				case vouched && err != nil:
					t.Errorf("got %v, want a token", err)
				case !vouched && (err == nil || st.State != tokens.Quarantined):
					t.Errorf("the grant is %s (%v), want quarantined", st.State, err)
				}
				want := 1
				if vouched {
					want = 2
				}
				fl.expect(want)
			})
		})
	}
}

// A replica whose address isn't verified lets one that may exchange do it, and
// says egress_unverified only where nobody does.
func TestAReplicaThatMayNotExchangeLetsAnotherDoIt(t *testing.T) {
	for name, mayOther := range map[string]bool{"another may": true, "nobody may": false} {
		t.Run(name, func(t *testing.T) {
			replicas(t, 1, func(fl *fleet) {
				closed := func(org tokens.OrgID) error {
					return &tokens.Error{Org: org, Code: tokens.CodeEgressUnverified, Temporary: true, RetryAfter: time.Minute, What: "not verified"}
				}
				shut := fl.join("shut", func(o *tokens.Options) {
					fl.on(o)
					o.Gate = closed
				})
				synctest.Wait() // everybody listens
				if !mayOther {
					fl.air.mu.Lock()
					fl.air.able = nil
					fl.air.mu.Unlock()
				}
				start := time.Now()
				_, err := shut.Token(fl.t.Context(), acme)
				switch {
				case mayOther && err != nil:
					t.Errorf("got %v, want the token that another replica got", err)
				case !mayOther && code(err) != tokens.CodeEgressUnverified:
					t.Errorf("got %v, want egress_unverified", err)
				case !mayOther && time.Since(start) > 10*time.Second:
					t.Errorf("told after %v", time.Since(start))
				}
				want := 0
				if mayOther {
					want = 1
				}
				fl.expect(want)
				if st, _ := shut.Status(acme); st.State != tokens.Ready {
					t.Errorf("the grant is %s, want ready", st.State)
				}
			})
		})
	}
}

// A session may be locked to the address that minted it: refused elsewhere, it
// lives.
func TestATokenThatIsRefusedElsewhereAndLivesStartsNoExchange(t *testing.T) {
	enrolled(t, func(b *bench) {
		tok := b.token()
		b.dir[acme] = func() tokens.Settings { s := b.dir[acme]; s.Address = "203.0.113.9"; return s }()
		tok.Address = "203.0.113.7"
		for range 3 {
			_, err := b.Replace(b.t.Context(), acme, tok)
			if code(err) != tokens.CodeSessionRejected {
				t.Errorf("got %v, want session_rejected: the token lives at the address that minted it", err)
			}
		}
		b.expect(1)
		b.token() // others are served
		b.sf.Kill(acme)
		wait(2 * time.Minute)
		if _, err := b.Replace(b.t.Context(), acme, tok); err != nil {
			t.Errorf("got %v, want another token: this one is dead", err)
		}
		b.expect(2)
	})
}

func TestAFleetForgetsTogether(t *testing.T) {
	replicas(t, 2, func(fl *fleet) {
		fl.token()
		other := fl.others[0]
		tok, err := other.Token(fl.t.Context(), acme)
		if err != nil {
			t.Fatal(err)
		}
		fl.sf.Kill(acme)
		if _, err := other.Replace(fl.t.Context(), acme, tok); err != nil { // its journal has an answer now
			t.Fatal(err)
		}
		synctest.Wait()
		if err := other.Forget(fl.t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for e, err := range fl.journal.Entries() {
			if err != nil {
				t.Fatal(err)
			}
			if len(e.Answer) > 0 || len(e.Record.Refresh) > 0 {
				t.Errorf("the first replica's journal still holds a secret of %s", e.Attempt)
			}
		}
	})
}

// On a disk that may not outlive the process the store keeps the answer too.
func TestAnAnswerOutlivesADiskThatDoesNotLast(t *testing.T) {
	replicas(t, 1, func(fl *fleet) {
		kept := &spool{}
		lost := fl.join("tmpfs", func(o *tokens.Options) {
			fl.on(o)
			o.Spool = kept
		})
		fl.store.SetHooks(func(_ context.Context, op tokenstest.Op, _ tokens.OrgID) error {
			if op == tokenstest.OpCommit {
				return tokens.ErrUnknown
			}
			return nil
		}, nil)
		if _, err := lost.Token(fl.t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		if kept.n() != 1 {
			t.Fatalf("%d answers are kept in the store, want 1", kept.n())
		}
		fl.store.SetHooks(nil, nil)
		// Before the process tries again, another takes it up from the store alone.
		next := fl.join("next", func(o *tokens.Options) {
			fl.on(o)
			o.Spool = kept
		})
		st, _ := next.Status(acme)
		if diff := cmp.Diff(int64(2), st.Place.Generation); diff != "" || kept.n() != 0 {
			t.Errorf("the answer was not taken up, or is still kept (%d): %s", kept.n(), diff)
		}
		fl.expect(1)
	})
}

// spool is a tokens.Spool in memory.
type spool struct {
	mu sync.Mutex
	m  map[tokens.AttemptID]tokens.Entry // guarded by mu
}

func (s *spool) n() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.m)
}

func (s *spool) Keep(_ context.Context, e tokens.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = map[tokens.AttemptID]tokens.Entry{}
	}
	s.m[e.Attempt] = e
	return nil
}

func (s *spool) Kept(context.Context) iter.Seq2[tokens.Entry, error] {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []tokens.Entry
	for _, e := range s.m {
		all = append(all, e)
	}
	return func(yield func(tokens.Entry, error) bool) {
		for _, e := range all {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (s *spool) Drop(_ context.Context, _ tokens.OrgID, id tokens.AttemptID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, id)
	return nil
}
