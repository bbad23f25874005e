package tokens_test

import (
	"context"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
	"github.com/sallyport/sallyport/tokens/tokenstest/crashfs"
)

// V8: a person authorises and is told that it worked; the store loses the write,
// and the replica restarts.
func TestTraceV08AnAuthorisationOutlivesTheStoresLoss(t *testing.T) {
	for name, enrol := range map[string]func(*bench) (tokens.Enrolled, error){
		"an import": func(b *bench) (tokens.Enrolled, error) {
			return b.Import(b.t.Context(), acme, secret.NewText(b.sf.Authorise(acme)))
		},
		"an authorisation": func(b *bench) (tokens.Enrolled, error) { return b.Authorize(b.t.Context(), acme, anyCode) },
	} {
		t.Run(name+", the first", func(t *testing.T) { authorisedAndLost(t, false, enrol) })
		t.Run(name+" in place of a dead one", func(t *testing.T) { authorisedAndLost(t, true, enrol) })
	}
}

func authorisedAndLost(t *testing.T, before bool, enrol func(*bench) (tokens.Enrolled, error)) {
	world(t, func(b *bench) {
		b.sf.Codes = true
		if before {
			if _, err := b.Import(b.t.Context(), acme, secret.NewText(b.sf.Authorise(acme))); err != nil {
				t.Fatal(err)
			}
			b.sf.Next(tokenstest.FaultDead)
			b.refused(tokens.CodeReauthRequired)
		}
		old := b.store.Snapshot()
		wait(time.Second)
		done, err := enrol(b)
		if err != nil {
			t.Fatal(err)
		}
		b.end((*crashfs.FS).Kill, func() { b.store.Restore(old) })
		if st, _ := b.Status(acme); st.State != tokens.Ready || st.Place != done.Place {
			t.Errorf("the grant is %s %s at %v, and the person was told %v", st.State, st.Reason, st.Place, done.Place)
		}
		b.token()
		b.refresh()
		b.token()
		if _, replays := b.sf.Seen(); replays != 0 || len(b.sf.Misuse()) != 0 {
			t.Errorf("%d replays, %v", replays, b.sf.Misuse())
		}
		b.unrevoked()
	})
}

// V9: 8 was sent, and is brought again.
func TestTraceV09NoTokenEntersTwice(t *testing.T) {
	const alias = tokens.OrgID("alias")
	t.Run("the import is tried again, and by another name", func(t *testing.T) {
		world(t, func(b *bench) {
			b.dir[alias] = b.dir[acme]
			first := secret.NewText(b.sf.Authorise(acme))
			if _, err := b.Import(b.t.Context(), acme, first); err != nil {
				t.Fatal(err)
			}
			release := b.sf.Hold()
			refreshing(b.Broker)
			wait(time.Second)
			b.store.Expire(acme)
			if done, err := b.Import(b.t.Context(), acme, first); err != nil || !done.Already {
				t.Errorf("under way, and imported again: %+v, %v", done, err)
			}
			if _, err := b.Import(b.t.Context(), alias, first); code(err) != tokens.CodeConflict {
				t.Errorf("under way, and imported by another name: %v", err)
			}
			release()
			wait(time.Second)
			again := func(when string) {
				for _, org := range []tokens.OrgID{acme, alias} {
					if _, err := b.Import(b.t.Context(), org, first); code(err) != tokens.CodeConflict {
						t.Errorf("spent, and imported as %s %s: %v", org, when, err)
					}
				}
			}
			again("once the exchange was over")
			b.restart()
			again("after a restart")
			b.store.Restore(tokenstest.Snapshot{}) // and with it who claimed what
			again("after the store was emptied")
			b.token()
			b.refresh()
			b.state(tokens.Ready, "")
			b.unharmed(2)
		})
	})
	t.Run("each replica seeds it into a store that was emptied", func(t *testing.T) {
		replicas(t, 2, func(fl *fleet) {
			seed := fl.plain()
			fl.token()
			fl.store.Restore(tokenstest.Snapshot{})
			all := append(fl.others, fl.Broker, fl.join("new", fl.on))
			seeded := func() {
				for i, b := range all {
					if used, _ := b.Seed(fl.t.Context(), acme, seed); used {
						t.Errorf("replica %d let a token in that was rotated out", i)
					}
				}
			}
			seeded()
			fl.settles()
			seeded()
			fl.served(90 * time.Minute)
			fl.refresh()
			fl.state(tokens.Ready, "")
			fl.unharmed(2)
		})
	})
}

// V10: a newer authorisation commits while 8 is under way, so that 9 is an
// orphan when it comes. To revoke it could end the newer grant.
func TestTraceV10AnOrphanIsNotRevoked(t *testing.T) {
	for name, all := range map[string]bool{
		"a revocation takes all of the user's grants": true,
		"the store loses the newer authorisation":     false,
	} {
		t.Run(name, func(t *testing.T) {
			replicas(t, 2, func(fl *fleet) {
				fl.sf.RevokesAll = all
				r0 := fl.at(fl.others[0])
				fl.token()
				first := fl.plain().Reveal()
				release := fl.sf.Hold()
				refreshing(fl.Broker)
				wait(time.Second)
				before := fl.store.Snapshot()
				fl.store.Expire(acme)
				done, err := r0.Import(fl.t.Context(), acme, secret.NewText(fl.sf.Authorise(acme)))
				if err != nil {
					t.Fatal(err)
				}
				release()
				wait(time.Second)
				late := fl.sf.Heir(first)
				if late == first || !fl.kept().Knows(hashes{}.Of(late)) {
					t.Error("the late answer's token isn't kept aside")
				}
				fl.unrevoked()
				if !all {
					fl.store.Restore(before)
					fl.settles()
				}
				fl.served(20 * time.Minute)
				r0.refresh()
				r0.token()
				fl.token()
				if st, _ := fl.Status(acme); st.State != tokens.Ready || st.Place.Epoch != done.Place.Epoch || st.Orphans != 2 {
					t.Errorf("the grant is %s at %v with %d orphans, want the newer authorisation and 2", st.State, st.Place, st.Orphans)
				}
				if fate := fl.sf.Fate(late); fate != tokenstest.FateLive {
					t.Errorf("what was kept aside is %s", fate)
				}
				fl.unharmed(3)
			})
		})
	}
}

// V17: r1 lost its disk and the store all it had, so that r1 knows nothing. A
// person authorises there, and r0 shows the store the older grant in that moment.
func TestTraceV17AnAuthorisationTakesNoPlaceThatIsTaken(t *testing.T) {
	authorise := func(fl *fleet) (r1 *bench, done tokens.Enrolled, err error) {
		fl.sf.Codes = true
		fl.store.Restore(tokenstest.Snapshot{})
		r1 = fl.at(fl.join("r1", fl.on))
		fl.store.SetHooks(func(ctx context.Context, op tokenstest.Op, _ tokens.OrgID) error {
			if op != tokenstest.OpCommit {
				return nil
			}
			fl.store.SetHooks(nil, nil)
			fl.store.Expire(acme)
			if _, err := fl.Realign(ctx); err != nil {
				t.Error(err)
			}
			fl.shown(1, tokens.InDoubt)
			return nil
		}, nil)
		done, err = r1.Authorize(fl.t.Context(), acme, anyCode)
		wait(time.Second)
		return r1, done, err
	}
	t.Run("its epoch is its moment", func(t *testing.T) {
		replicas(t, 1, func(fl *fleet) {
			old := fl.kept()
			wait(time.Second)
			r1, done, err := authorise(fl)
			if err != nil || done.Place.Epoch <= old.Epoch {
				t.Errorf("the person is told %+v, %v", done, err)
			}
			for _, b := range []*bench{fl.bench, r1} {
				b.state(tokens.Ready, "")
				b.token()
				b.refresh()
				if st, _ := b.Status(acme); st.Place.Epoch != done.Place.Epoch || st.Orphans != 1 {
					t.Errorf("the grant is at %v with %d orphans, want %v and the older one", st.Place, st.Orphans, done.Place)
				}
			}
			fl.unharmed(3)
		})
	})
	// Two authorisations within a millisecond, on both sides of the loss.
	t.Run("an equal place is not its own", func(t *testing.T) {
		replicas(t, 1, func(fl *fleet) {
			old := fl.kept()
			r1, _, err := authorise(fl)
			if code(err) != tokens.CodeConflict {
				t.Errorf("the person is told %v, and the older grant holds", err)
			}
			minted := fl.sf.Minted(acme)
			if r := fl.kept(); r.Place != old.Place || r.Fingerprint != old.Fingerprint || len(r.Orphans) != 1 || !r.Knows(hashes{}.Of(minted[len(minted)-1])) {
				t.Errorf("the grant is at %v with %d orphans, want %v and the newer token", r.Place, len(r.Orphans), old.Place)
			}
			fl.settles()
			if err := fl.Settle(fl.t.Context(), acme); err != nil {
				t.Error(err)
			}
			fl.state(tokens.Ready, "")
			fl.refresh()
			fl.token()
			r1.token()
			fl.unharmed(2)
		})
	})
}

// V18: r1 finds a newer authorisation and steps aside with its answer; in that
// moment the store loses that authorisation. Whoever brought it is gone with its
// disk, so that only r1 has seen it, and only by reading.
func TestTraceV18WhoeverSteppedAsideRemembersForWhom(t *testing.T) {
	replicas(t, 2, func(fl *fleet) {
		fl.token()
		release := fl.sf.Hold()
		refreshing(fl.Broker)
		wait(time.Second)
		fl.air.silence(true)
		before := fl.store.Snapshot()
		fl.store.Expire(acme)
		done, err := fl.others[0].Import(fl.t.Context(), acme, secret.NewText(fl.sf.Authorise(acme)))
		if err != nil {
			t.Fatal(err)
		}
		fl.gone(fl.others[0])
		fl.store.SetHooks(nil, func(_ context.Context, op tokenstest.Op, _ tokens.OrgID) error {
			if op == tokenstest.OpCommit {
				fl.store.SetHooks(nil, nil)
				fl.store.Restore(before)
			}
			return nil
		})
		release()
		wait(time.Second)
		fl.settles()
		if r := fl.kept(); r.Place != done.Place || r.State != tokens.InDoubt {
			t.Errorf("the store shows %s at %v, want the newer authorisation, in doubt", r.State, r.Place)
		}
		fl.served(90 * time.Minute)
		wait(35 * time.Minute) // Salesforce is asked
		fl.state(tokens.Ready, "")
		fl.token()
		if st, _ := fl.Status(acme); st.Place.Epoch != done.Place.Epoch {
			t.Errorf("the grant is at %v, want epoch %d", st.Place, done.Place.Epoch)
		}
		fl.unharmed(3)
	})
}
