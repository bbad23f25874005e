package redisstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/redistest"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/redisstore"
)

// An org that nobody has held before is no younger than its store, a store that
// was emptied is as young as that, and one that was never used is old enough.
func TestAStoreIsAsOldAsItsIdentity(t *testing.T) {
	redis := redistest.Start(t, redistest.Options{})
	open := func() *redisstore.Store {
		t.Helper()
		s, err := redisstore.Open(t.Context(), redisstore.Options{URL: redis.URL()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	stamped := func(s *redisstore.Store, org tokens.OrgID) (d time.Duration) {
		t.Helper()
		err := s.Hold(t.Context(), org, func(_ context.Context, h tokens.Hold) error {
			_, sight := h.Record()
			d = sight.Stamped
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	s := open()
	if d := stamped(s, "first"); d > 100*time.Millisecond {
		t.Errorf("a store that is seen for the first time is %v old", d)
	}
	const pause = 300 * time.Millisecond
	<-time.After(pause)
	if d := stamped(s, "second"); d < pause || d > 10*time.Second {
		t.Errorf("a new org finds a store that is %v old, want %v and little more", d, pause)
	}
	if d := stamped(open(), "first"); d < pause {
		t.Errorf("another process finds a store that is %v old", d)
	}
	if err := redis.FlushAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := stamped(s, "first"); d > 100*time.Millisecond {
		t.Errorf("a store that was emptied is %v old", d)
	}
	if err := s.MarkNew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := stamped(open(), "third"); d < 24*time.Hour {
		t.Errorf("a store in which nothing was before is %v old: its first exchanges would wait", d)
	}
}
