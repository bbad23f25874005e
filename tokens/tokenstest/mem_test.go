package tokenstest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
)

func TestMemIsAStore(t *testing.T) {
	tokenstest.TestStore(t, func(*testing.T) tokens.Store { return tokenstest.NewMem(tokenstest.MemOptions{}) })
}

func record(gen int64) tokens.Record {
	return tokens.Record{Schema: tokens.Schema, Org: "acme", Place: tokens.Place{Epoch: 1, Generation: gen}, Fingerprint: "fp"}
}

func save(t *testing.T, m *tokenstest.Mem, r tokens.Record) error {
	t.Helper()
	return m.Hold(t.Context(), r.Org, func(ctx context.Context, h tokens.Hold) error { return h.Save(ctx, r) })
}

func TestMemGoesBackAndHasAnotherIdentity(t *testing.T) {
	m := tokenstest.NewMem(tokenstest.MemOptions{})
	for gen := range int64(3) {
		if err := save(t, m, record(gen+1)); err != nil {
			t.Fatal(err)
		}
	}
	snap := m.Snapshot()
	if err := m.Claim(t.Context(), "acme", []string{"late"}); err != nil {
		t.Fatal(err)
	}
	if n := m.Regress(2); n != 2 {
		t.Errorf("took %d writes back", n)
	}
	if who, err := m.Claimant(t.Context(), "late"); err != nil || who != "" {
		t.Errorf("the claim stayed: %q, %v", who, err)
	}
	seen := func(gen int64, identity tokens.StoreIdentity) {
		t.Helper()
		if err := m.Hold(t.Context(), "acme", func(_ context.Context, h tokens.Hold) error {
			if r, s := h.Record(); r.Generation != gen || s.Identity != identity {
				t.Errorf("generation %d under %s, want %d under %s", r.Generation, s.Identity, gen, identity)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	seen(2, "mem-2")
	m.Restore(snap)
	seen(3, "mem-3")
	m.Restore(tokenstest.Snapshot{})
	seen(0, "mem-4")
	if n := m.Regress(9); n != 0 {
		t.Errorf("took %d writes back from nothing", n)
	}
}

func TestMemStampsItsIdentityWhenFirstHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tokenstest.NewMem(tokenstest.MemOptions{})
		stamped := func() (d time.Duration) {
			if err := m.Hold(t.Context(), "acme", func(_ context.Context, h tokens.Hold) error {
				_, s := h.Record()
				d = s.Stamped
				return nil
			}); err != nil {
				t.Error(err)
			}
			return d
		}
		if first := stamped(); first < 1e6*time.Hour {
			t.Errorf("a store in which nothing was before is %v old", first)
		}
		m.Restart()
		<-time.After(time.Hour)
		got := []time.Duration{stamped()}
		<-time.After(time.Minute)
		got = append(got, stamped())
		m.Restart()
		<-time.After(time.Minute)
		got = append(got, stamped())
		if diff := cmp.Diff([]time.Duration{0, time.Minute, 0}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestMemLosesALock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tokenstest.NewMem(tokenstest.MemOptions{})
		if m.Expire("acme") {
			t.Error("a lock that nobody holds was lost")
		}
		err := m.Hold(t.Context(), "acme", func(ctx context.Context, h tokens.Hold) error {
			if !m.Expire("acme") {
				t.Error("the lock wasn't lost")
			}
			<-h.Lost()
			if err := save(t, m, record(2)); err != nil { // another gets in
				t.Error(err)
			}
			return h.Save(ctx, record(1))
		})
		if !errors.Is(err, tokens.ErrFenced) {
			t.Errorf("a holder who lost the lock: %v", err)
		}
		if err := save(t, m, record(3)); err != nil {
			t.Error(err)
		}
	})
}

func TestMemFailsBeforeOrAfterItHasWritten(t *testing.T) {
	for name, landed := range map[string]bool{"before": false, "after": true} {
		t.Run(name, func(t *testing.T) {
			m := tokenstest.NewMem(tokenstest.MemOptions{})
			hook := func(_ context.Context, op tokenstest.Op, org tokens.OrgID) error {
				if op == tokenstest.OpSave && org == "acme" {
					return tokens.ErrUnknown
				}
				return nil
			}
			if landed {
				m.SetHooks(nil, hook)
			} else {
				m.SetHooks(hook, nil)
			}
			if err := save(t, m, record(1)); !errors.Is(err, tokens.ErrUnknown) {
				t.Errorf("Save: %v", err)
			}
			m.SetHooks(nil, nil)
			if _, err := m.Load(t.Context(), "acme"); (err == nil) != landed {
				t.Errorf("Load: %v", err)
			}
		})
	}
}
