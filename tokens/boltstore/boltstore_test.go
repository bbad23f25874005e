package boltstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/boltstore"
	"github.com/sallyport/sallyport/tokens/tokenstest"
)

func open(t testing.TB, o boltstore.Options) *boltstore.Store {
	t.Helper()
	if o.Path == "" {
		o.Path = filepath.Join(t.TempDir(), "state", "grants.db")
	}
	s, err := boltstore.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func record(gen int64) tokens.Record {
	return tokens.Record{
		Schema: tokens.Schema, Org: "acme", SingleUse: true, Place: tokens.Place{Epoch: 1, Generation: gen},
		Refresh: []byte("sealed"), Fingerprint: fmt.Sprint("fp", gen),
	}
}

// held reads what a hold shows.
func held(t *testing.T, s *boltstore.Store) (r tokens.Record, sight tokens.Sight, fence uint64) {
	t.Helper()
	if err := s.Hold(t.Context(), "acme", func(_ context.Context, h tokens.Hold) error {
		r, sight = h.Record()
		fence = h.Fence()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return r, sight, fence
}

func TestStore(t *testing.T) {
	tokenstest.TestStore(t, func(t *testing.T) tokens.Store { return open(t, boltstore.Options{}) })
}

func TestEachStartIsAnotherIdentity(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	o := boltstore.Options{Path: filepath.Join(t.TempDir(), "a", "grants.db"), Now: func() time.Time { return at }}
	s := open(t, o)
	if _, _, err := s.Commit(t.Context(), "acme", tokens.Committed{Record: record(1), Enrolment: true}); err != nil {
		t.Fatal(err)
	}
	at = at.Add(time.Minute)
	want, first, fence := held(t, s)
	if first.Stamped != time.Minute || !first.Exclusive || fence != uint64(at.UnixMicro()) {
		t.Errorf("sight %+v, fence %d", first, fence)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	at = at.Add(-24 * time.Hour) // the clock went back
	s = open(t, o)
	got, second, after := held(t, s)
	if second.Identity == first.Identity || second.Stamped != 0 {
		t.Errorf("sight %+v after %+v", second, first)
	}
	if after != fence+1 {
		t.Errorf("fence %d after %d, with a clock that went back", after, fence)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if who, err := s.Claimant(t.Context(), "fp1"); err != nil || who != "acme" {
		t.Errorf("claimed by %q, %v", who, err)
	}
}

func TestFailure56TwoStoresOnOneFile(t *testing.T) {
	o := boltstore.Options{Path: filepath.Join(t.TempDir(), "grants.db")}
	open(t, o)
	_, err := boltstore.Open(o)
	var locked *boltstore.LockedError
	if !errors.Is(err, boltstore.ErrLocked) || !errors.As(err, &locked) || locked.Path != o.Path {
		t.Errorf("a second one: %v", err)
	}
	if _, err := boltstore.Open(boltstore.Options{}); err == nil {
		t.Error("a store without a path was opened")
	}
}

func TestTheFileIsTheOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "grants.db")
	if err := open(t, boltstore.Options{Path: path}).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	open(t, boltstore.Options{Path: path})
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700 | os.ModeDir} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s is %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
}

func TestCloseEndsHoldsAndWaiters(t *testing.T) {
	s := open(t, boltstore.Options{})
	waiter, queued := make(chan error, 1), make(chan struct{})
	err := s.Hold(t.Context(), "acme", func(ctx context.Context, h tokens.Hold) error {
		go func() { // ends with Close
			close(queued)
			waiter <- s.Hold(context.Background(), "acme", func(context.Context, tokens.Hold) error { return nil })
		}()
		<-queued
		select {
		case <-h.Lost():
			t.Error("lost before Close")
		default:
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		<-h.Lost()
		if err := <-waiter; !errors.Is(err, boltstore.ErrClosed) {
			t.Errorf("who waited: %v", err)
		}
		return h.Save(ctx, record(1))
	})
	if !errors.Is(err, boltstore.ErrClosed) {
		t.Errorf("Save after Close: %v", err)
	}
	if _, err := s.Load(t.Context(), "acme"); !errors.Is(err, boltstore.ErrClosed) {
		t.Errorf("Load after Close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
	if s.Locks() != 0 {
		t.Errorf("%d locks are left", s.Locks())
	}
}

// TestFailure41ARecordThatCannotBeRead: a newer sallyport may know states that
// this one doesn't.
func TestFailure41ARecordThatCannotBeRead(t *testing.T) {
	s := open(t, boltstore.Options{})
	if _, _, err := s.Commit(t.Context(), "acme", tokens.Committed{Record: record(1), Enrolment: true}); err != nil {
		t.Fatal(err)
	}
	if err := s.PlantRaw("aaa", []byte(`{"schema":2,"org":"aaa","state":"levitating"}`)); err != nil {
		t.Fatal(err)
	}
	_, err := s.Load(t.Context(), "aaa")
	if !errors.Is(err, tokens.ErrSchema) {
		t.Errorf("Load: %v", err)
	}
	if err := s.Hold(t.Context(), "aaa", func(context.Context, tokens.Hold) error { return nil }); !errors.Is(err, tokens.ErrSchema) {
		t.Errorf("Hold: %v", err)
	}
	r := record(2)
	r.Org = "aaa"
	if _, _, err := s.Commit(t.Context(), "aaa", tokens.Committed{Record: r, Enrolment: true}); !errors.Is(err, tokens.ErrSchema) {
		t.Errorf("Commit: %v", err)
	}
	var orgs []tokens.OrgID
	failed := 0
	for r, err := range s.All(t.Context()) {
		if err != nil {
			failed++
			continue
		}
		orgs = append(orgs, r.Org)
	}
	if failed != 1 || !slices.Equal(orgs, []tokens.OrgID{"acme"}) {
		t.Errorf("All: %d failed, %v", failed, orgs)
	}
}

// TestFailure18ADiskThatFails: nobody can say whether the write landed, and
// nothing is written after it.
func TestFailure18ADiskThatFails(t *testing.T) {
	s := open(t, boltstore.Options{})
	if _, _, err := s.Commit(t.Context(), "acme", tokens.Committed{Record: record(1), Enrolment: true}); err != nil {
		t.Fatal(err)
	}
	err := s.Hold(t.Context(), "acme", func(ctx context.Context, h tokens.Hold) error {
		if err := s.BreakDisk(); err != nil {
			t.Fatal(err)
		}
		r, _ := h.Record()
		return h.Save(ctx, r)
	})
	if !errors.Is(err, tokens.ErrUnknown) || !errors.Is(err, boltstore.ErrFailed) {
		t.Errorf("Save: %v", err)
	}
	_, _, err = s.Commit(t.Context(), "acme", tokens.Committed{Record: record(2)})
	if errors.Is(err, tokens.ErrUnknown) || !errors.Is(err, boltstore.ErrFailed) {
		t.Errorf("a later Commit: %v", err)
	}
	if r, err := s.Load(t.Context(), "acme"); err != nil || r.Generation != 1 {
		t.Errorf("Load: %d, %v", r.Generation, err)
	}
}

func TestFailure18WhatAFailedTransactionMeans(t *testing.T) {
	for name, tc := range map[string]struct {
		err             error
		full, mayHaveIt bool
	}{
		"no room for a page":       {&fs.PathError{Op: "write", Err: syscall.ENOSPC}, true, false},
		"no room to grow":          {&fs.PathError{Op: "truncate", Err: syscall.ENOSPC}, true, false},
		"no room, says the fsync":  {syscall.ENOSPC, false, true},
		"an fsync that failed":     {syscall.EIO, false, true},
		"a write that failed":      {&fs.PathError{Op: "write", Err: syscall.EIO}, false, true},
		"an error of another sort": {errors.New("as it may be"), false, true},
	} {
		t.Run(name, func(t *testing.T) {
			err := boltstore.Classify(fmt.Errorf("bbolt: %w", tc.err))
			if errors.Is(err, boltstore.ErrFull) != tc.full || errors.Is(err, tokens.ErrUnknown) != tc.mayHaveIt ||
				errors.Is(err, boltstore.ErrFailed) != tc.mayHaveIt || !errors.Is(err, tc.err) {
				t.Error(err)
			}
		})
	}
}

func TestAClaimNamesItsClaimant(t *testing.T) {
	s := open(t, boltstore.Options{})
	if err := s.Claim(t.Context(), "acme", []string{"fp"}); err != nil {
		t.Fatal(err)
	}
	var claimed *boltstore.ClaimedError
	err := s.Claim(t.Context(), "umbrella", []string{"fp"})
	if !errors.As(err, &claimed) || *claimed != (boltstore.ClaimedError{Org: "umbrella", Claimant: "acme"}) {
		t.Errorf("got %v", err)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := start
	s := open(t, boltstore.Options{Now: func() time.Time { return now }})
	add := func(org tokens.OrgID, n int) {
		t.Helper()
		for i := range n {
			if err := s.Append(t.Context(), tokens.Exchange{Org: org, Generation: int64(i + 1), Time: now.Add(time.Duration(i/2) * time.Second)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	list := func(org tokens.OrgID, after time.Time, n int) (gens []int64) {
		t.Helper()
		es, err := s.List(t.Context(), org, after, n)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range es {
			gens = append(gens, e.Generation)
		}
		return gens
	}
	add("acme", 203)
	if got := list("acme", time.Time{}, 0); len(got) != 200 || got[0] != 4 || got[199] != 203 {
		t.Errorf("kept %d, %v", len(got), got)
	}
	add("umbrella", 2)
	if got := list("acme", time.Time{}, 3); !slices.Equal(got, []int64{201, 202, 203}) {
		t.Errorf("the newest three: %v", got)
	}
	if got := list("acme", now.Add(100*time.Second), 0); !slices.Equal(got, []int64{203}) {
		t.Errorf("after a time: %v", got)
	}
	if got := list("", time.Time{}, 0); len(got) != 202 || got[0] != 1 || got[1] != 2 {
		t.Errorf("of all orgs %d, %v", len(got), got[:2])
	}
	if got := list("nobody", time.Time{}, 0); got != nil {
		t.Errorf("of nobody: %v", got)
	}
	now = now.Add(90*24*time.Hour + 100*time.Second)
	if err := s.Append(t.Context(), tokens.Exchange{Org: "acme", Generation: 500}); err != nil {
		t.Fatal(err)
	}
	if got := list("acme", time.Time{}, 0); !slices.Equal(got, []int64{201, 202, 203, 500}) {
		t.Errorf("after ninety days: %v", got)
	}
	if err := s.Append(t.Context(), tokens.Exchange{}); err == nil {
		t.Error("an exchange without an org was kept")
	}
}

func TestMetaIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "grants.db")
	s := open(t, boltstore.Options{Path: path})
	if v, err := s.Meta(t.Context(), "deployment"); v != nil || err != nil {
		t.Errorf("Meta of nothing: %q, %v", v, err)
	}
	for _, mine := range []string{"first", "second"} {
		if v, err := s.MetaOnce(t.Context(), "deployment", []byte(mine)); string(v) != "first" || err != nil {
			t.Errorf("MetaOnce: %q, %v", v, err)
		}
	}
	if err := s.SetMeta(t.Context(), "canary", []byte("new")); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open(t, boltstore.Options{Path: path})
	for key, want := range map[string]string{"deployment": "first", "canary": "new"} {
		if v, err := s.Meta(t.Context(), key); string(v) != want || err != nil {
			t.Errorf("Meta(%s): %q, %v", key, v, err)
		}
	}
}

func TestTheRegistryIsComparedAndSet(t *testing.T) {
	s := open(t, boltstore.Options{})
	if doc, version, err := s.LoadRegistry(t.Context()); doc != nil || version != 0 || err != nil {
		t.Errorf("LoadRegistry of nothing: %q, %d, %v", doc, version, err)
	}
	for i, doc := range []string{"one", "two"} {
		if err := s.SaveRegistry(t.Context(), []byte(doc), uint64(i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, expect := range []uint64{0, 1, 3} {
		if err := s.SaveRegistry(t.Context(), []byte("lost"), expect); !errors.Is(err, registry.ErrConflict) {
			t.Errorf("SaveRegistry over version %d: %v", expect, err)
		}
	}
	if doc, version, err := s.LoadRegistry(t.Context()); string(doc) != "two" || version != 2 || err != nil {
		t.Errorf("LoadRegistry: %q, %d, %v", doc, version, err)
	}
}

func BenchmarkHoldAndSave(b *testing.B) {
	s := open(b, boltstore.Options{})
	for b.Loop() {
		if err := s.Hold(b.Context(), "acme", func(ctx context.Context, h tokens.Hold) error { return h.Save(ctx, record(1)) }); err != nil {
			b.Fatal(err)
		}
	}
}

// A file whose pages make no sense is refused with an error, not a panic.
func TestADamagedFileIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := boltstore.Open(boltstore.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetMeta(t.Context(), "a", bytes.Repeat([]byte("x"), 100)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 2 * os.Getpagesize(); i < len(b); i++ { // behind the two meta pages
		b[i] = 0x5a
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := boltstore.Open(boltstore.Options{Path: path}); err == nil {
		t.Error("a damaged file was opened")
		_ = s.Close()
	}
}
