package boltstore_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/boltstore"
)

// enrolled is a store that holds acme's generation 1.
func enrolled(t *testing.T, o boltstore.Options) *boltstore.Store {
	t.Helper()
	s := open(t, o)
	if _, _, err := s.Commit(t.Context(), "acme", tokens.Committed{Record: record(1), Enrolment: true}); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFailure16WhoDoesNotGetTheLockRunsNothing(t *testing.T) {
	s := enrolled(t, boltstore.Options{})
	err := s.Hold(t.Context(), "acme", func(context.Context, tokens.Hold) error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		return s.Hold(ctx, "acme", func(context.Context, tokens.Hold) error {
			t.Error("two hold one org")
			return nil
		})
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("who waited is told %v", err)
	}
}

// Fences grow though the clock goes back.
func TestFailure20FencesDoNotTrustTheClock(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	o := boltstore.Options{Path: filepath.Join(t.TempDir(), "grants.db"), Now: func() time.Time { return at }}
	s := enrolled(t, o)
	var last uint64
	for range 3 {
		if _, _, fence := held(t, s); fence <= last {
			t.Errorf("fence %d after %d", fence, last)
		} else {
			last = fence
		}
		at = at.Add(-24 * time.Hour)
	}
}

func TestFailure34AClaimIsOneOrgsAlone(t *testing.T) {
	s := enrolled(t, boltstore.Options{})
	names := []string{"grant:app:00D:005", "fp1"}
	if err := s.Claim(t.Context(), "acme", names); err != nil {
		t.Fatal(err)
	}
	if err := s.Claim(t.Context(), "alias", names[:1]); !errors.Is(err, tokens.ErrClaimed) {
		t.Errorf("another name of the same grant: %v", err)
	}
	if who, err := s.Claimant(t.Context(), names[0]); who != "acme" || err != nil {
		t.Errorf("it is claimed by %q: %v", who, err)
	}
}

// Whoever held the lock once neither writes nor lets go what is another's now.
func TestFailure35AFormerHolderTouchesNothing(t *testing.T) {
	s := enrolled(t, boltstore.Options{})
	var former tokens.Hold
	if err := s.Hold(t.Context(), "acme", func(_ context.Context, h tokens.Hold) error { former = h; return nil }); err != nil {
		t.Fatal(err)
	}
	r, _ := former.Record()
	if err := former.Save(t.Context(), r); !errors.Is(err, tokens.ErrFenced) {
		t.Errorf("a save after the hold: %v", err)
	}
	if err := s.Hold(t.Context(), "acme", func(ctx context.Context, h tokens.Hold) error {
		if err := former.Save(ctx, r); !errors.Is(err, tokens.ErrFenced) {
			t.Errorf("a save under another's hold: %v", err)
		}
		return h.Save(ctx, r)
	}); err != nil {
		t.Errorf("the present holder: %v", err)
	}
}

// What else is written meanwhile is no change of the record.
func TestFailure36AnUnrelatedWriteDoesNotFenceASave(t *testing.T) {
	s := enrolled(t, boltstore.Options{})
	other := record(1)
	other.Org, other.Fingerprint = "umbrella", "fp-umbrella"
	err := s.Hold(t.Context(), "acme", func(ctx context.Context, h tokens.Hold) error {
		_, _, err := s.Commit(ctx, "umbrella", tokens.Committed{Record: other, Enrolment: true})
		if err := errors.Join(err,
			s.Claim(ctx, "acme", []string{"a name"}),
			s.Append(ctx, tokens.Exchange{Org: "acme", Time: time.Now()}),
			s.SetMeta(ctx, "ca", []byte("new")),
			s.SaveRegistry(ctx, []byte("{}"), 0),
			s.Hold(ctx, "umbrella", func(context.Context, tokens.Hold) error { return nil }),
		); err != nil {
			t.Fatal(err)
		}
		r, _ := h.Record()
		return h.Save(ctx, r)
	})
	if err != nil {
		t.Errorf("the save: %v", err)
	}
}

// A commit that the disk cut short left the pair that was there.
func TestFailure37ACommitIsOneWrite(t *testing.T) {
	s := enrolled(t, boltstore.Options{})
	if err := s.BreakDisk(); err != nil {
		t.Fatal(err)
	}
	n := record(2)
	n.Access, n.AccessPlace = []byte("new access"), n.Place
	if _, _, err := s.Commit(t.Context(), "acme", tokens.Committed{Record: n, Base: record(1).Place}); err == nil {
		t.Fatal("it was taken")
	}
	if r, err := s.Load(t.Context(), "acme"); err != nil || r.Generation != 1 || string(r.Access) == "new access" {
		t.Errorf("generation %d with access token %q: %v", r.Generation, r.Access, err)
	}
}

// A record of a newer version that this one can read all the same.
func TestFailure41ANewerRecordIsNotWrittenOver(t *testing.T) {
	s := enrolled(t, boltstore.Options{})
	newer := record(1)
	newer.Schema = tokens.Schema + 1
	if err := s.Plant(newer); err != nil {
		t.Fatal(err)
	}
	if err := s.Hold(t.Context(), "acme", func(ctx context.Context, h tokens.Hold) error { return h.Save(ctx, record(1)) }); !errors.Is(err, tokens.ErrSchema) {
		t.Errorf("Save: %v", err)
	}
	if _, _, err := s.Commit(t.Context(), "acme", tokens.Committed{Record: record(2), Base: newer.Place}); !errors.Is(err, tokens.ErrSchema) {
		t.Errorf("Commit: %v", err)
	}
	if r, err := s.Load(t.Context(), "acme"); err != nil || r.Schema != newer.Schema {
		t.Errorf("it was changed: schema %d, %v", r.Schema, err)
	}
}
