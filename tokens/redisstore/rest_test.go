package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/redistest"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/redisstore"
)

func TestAClaimNamesItsClaimant(t *testing.T) {
	t.Parallel()
	s := open(t, redisstore.Options{})
	if err := s.Claim(t.Context(), "acme", []string{"fp"}); err != nil {
		t.Fatal(err)
	}
	var claimed *redisstore.ClaimedError
	err := s.Claim(t.Context(), "umbrella", []string{"fp"})
	if !errors.As(err, &claimed) || *claimed != (redisstore.ClaimedError{Org: "umbrella", Claimant: "acme"}) {
		t.Errorf("got %v", err)
	}
}

func TestOneOfManyClaimsAName(t *testing.T) {
	t.Parallel()
	o := redisstore.Options{Prefix: prefix()}
	stores := []*redisstore.Store{open(t, o), open(t, o)}
	for round := range 10 {
		names := []string{fmt.Sprint("a", round), fmt.Sprint("b", round)}
		var wg sync.WaitGroup
		errs := make([]error, 6)
		for i := range errs {
			wg.Go(func() {
				mine := slices.Clone(names)
				if i%2 == 1 {
					slices.Reverse(mine)
				}
				errs[i] = stores[i%2].Claim(t.Context(), tokens.OrgID(fmt.Sprint("org", i)), mine)
			})
		}
		wg.Wait()
		won := slices.IndexFunc(errs, func(err error) bool { return err == nil })
		for i, err := range errs {
			if i != won && !errors.Is(err, tokens.ErrClaimed) {
				t.Errorf("org%d: %v, and org%d has won", i, err, won)
			}
		}
		for _, n := range names {
			if who, err := stores[0].Claimant(t.Context(), n); err != nil || who != tokens.OrgID(fmt.Sprint("org", won)) {
				t.Errorf("%s is claimed by %q, %v", n, who, err)
			}
		}
	}
}

// TestAClaimWhoseAnswerIsLost is made again: it is the same org's.
func TestAClaimWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	p, s, straight := behind(t, server(t), redisstore.Options{})
	done := p.LoseReply(calls(redisstore.HashClaim))
	if err := s.Claim(t.Context(), "acme", []string{"fp"}); err != nil {
		t.Error(err)
	}
	await(t, "the server's answer", done)
	if who, err := straight.Claimant(t.Context(), "fp"); who != "acme" || err != nil {
		t.Errorf("claimed by %q, %v", who, err)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	s := open(t, redisstore.Options{})
	now := time.Now().Truncate(time.Millisecond)
	add := func(org tokens.OrgID, gen int64, at time.Time) {
		t.Helper()
		if err := s.Append(t.Context(), tokens.Exchange{Org: org, Generation: gen, Time: at}); err != nil {
			t.Fatal(err)
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
	start := now.Add(-time.Hour)
	for i := range int64(203) {
		add("acme", i+1, start.Add(time.Duration(i/2)*time.Second))
	}
	if got := list("acme", time.Time{}, 0); len(got) != 200 || !slices.IsSorted(got) || got[199] != 203 {
		t.Errorf("kept %d, %v", len(got), got)
	}
	add("umbrella", 1, start)
	if got := list("acme", time.Time{}, 3); !slices.Equal(got, []int64{201, 202, 203}) {
		t.Errorf("the newest three: %v", got)
	}
	if got := list("acme", start.Add(100*time.Second), 0); !slices.Equal(got, []int64{203}) {
		t.Errorf("after a time: %v", got)
	}
	if got := list("", time.Time{}, 0); len(got) != 201 {
		t.Errorf("of all orgs %d", len(got))
	}
	if got := list("nobody", time.Time{}, 0); got != nil {
		t.Errorf("of nobody: %v", got)
	}
	add("wayne", 1, now.Add(-91*24*time.Hour))
	add("wayne", 2, time.Time{})
	if got := list("wayne", time.Time{}, 0); !slices.Equal(got, []int64{2}) {
		t.Errorf("after ninety days: %v", got)
	}
	if err := s.Append(t.Context(), tokens.Exchange{}); err == nil {
		t.Error("an exchange without an org was kept")
	}
}

func TestMetaIsMadeOnce(t *testing.T) {
	t.Parallel()
	o := redisstore.Options{Prefix: prefix()}
	s := open(t, o)
	if v, err := s.Meta(t.Context(), "deployment"); v != nil || err != nil {
		t.Errorf("Meta of nothing: %q, %v", v, err)
	}
	for _, mine := range []string{"first", "second"} {
		if v, err := s.MetaOnce(t.Context(), "deployment", []byte(mine)); string(v) != "first" || err != nil {
			t.Errorf("MetaOnce: %q, %v", v, err)
		}
	}
	if err := s.SetMeta(t.Context(), "canary", []byte("new\x00\xff")); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"deployment": "first", "canary": "new\x00\xff"} {
		if v, err := open(t, o).Meta(t.Context(), key); string(v) != want || err != nil {
			t.Errorf("Meta(%s): %q, %v", key, v, err)
		}
	}
	if err := s.SetMeta(t.Context(), "record", nil); err == nil {
		t.Error("a name was taken that an org called meta needs")
	}
}

func TestTheRegistryIsComparedAndSet(t *testing.T) {
	t.Parallel()
	o := redisstore.Options{Prefix: prefix()}
	s, other := open(t, o), open(t, o)
	if doc, version, err := s.LoadRegistry(t.Context()); doc != nil || version != 0 || err != nil {
		t.Errorf("LoadRegistry of nothing: %q, %d, %v", doc, version, err)
	}
	changed := make(chan struct{}, 100)
	watching(t, func(ctx context.Context) error { return other.WatchRegistry(ctx, func() { changed <- struct{}{} }) })
	await(t, "the subscription", changed)
	for i, doc := range []string{"one", "two"} {
		began := time.Now()
		if err := s.SaveRegistry(t.Context(), []byte(doc), uint64(i)); err != nil {
			t.Fatal(err)
		}
		await(t, "the change", changed)
		if d := time.Since(began); d > time.Second {
			t.Errorf("it took %v", d)
		}
		if got, version, err := other.LoadRegistry(t.Context()); string(got) != doc || version != uint64(i+1) || err != nil {
			t.Errorf("LoadRegistry: %q, %d, %v", got, version, err)
		}
	}
	for _, expect := range []uint64{0, 1, 3} {
		if err := other.SaveRegistry(t.Context(), []byte("three"), expect); !errors.Is(err, registry.ErrConflict) {
			t.Errorf("SaveRegistry over version %d: %v", expect, err)
		}
	}
}

func TestKeptAnswersAreSealed(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t, redistest.Options{})
	s := open(t, redisstore.Options{URL: srv.URL(), Sealer: sealer{}})
	want := tokens.Entry{Attempt: "a", Org: "acme", Replica: "r", Deployment: "d", Kind: tokens.EntryIntent, Base: record(1).Place,
		Identity: "i", Record: record(1), Answer: tokens.Answer("older")}
	for _, answer := range []string{"older", "HTTP/1.1 200 OK"} {
		want.Answer = tokens.Answer(answer)
		if err := s.Keep(t.Context(), want); err != nil {
			t.Fatal(err)
		}
	}
	other := want
	other.Org, other.Attempt = "umbrella", "b"
	if err := s.Keep(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	kept := func() (all []tokens.Entry) {
		t.Helper()
		for e, err := range s.Kept(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, e)
		}
		return all
	}
	if diff := cmp.Diff([]tokens.Entry{want, other}, kept()); diff != "" {
		t.Error(diff)
	}
	raw, err := srv.Do(t.Context(), "HGET", "sallyport:{acme}:spool", "a")
	if err == nil && !strings.HasPrefix(fmt.Sprint(raw), "sealed for acme answer:") {
		t.Errorf("it isn't sealed: %v", raw)
	}
	for range 2 {
		if err := s.Drop(t.Context(), "acme", "a"); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff([]tokens.Entry{other}, kept()); diff != "" {
		t.Error(diff)
	}
	if err := open(t, redisstore.Options{}).Keep(t.Context(), want); err == nil {
		t.Error("kept without a sealer")
	}
}

func TestCheckSaysHowTheServerIsSetUp(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t, redistest.Options{AppendOnly: true, MaxMemory: "64mb", ACL: []string{documentedACL(t)}})
	facts, err := open(t, redisstore.Options{URL: srv.URL(), Wait: 0}).Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := facts.Nodes[0]
	if n.Evicts || !n.AppendTo || n.Fsync != "always" || n.Version == "" || n.Role != "master" || facts.TLS || facts.Short() || len(facts.Missing) > 0 {
		t.Errorf("%+v", facts)
	}
	if _, err := srv.Do(t.Context(), "CONFIG", "SET", "maxmemory-policy", "allkeys-lru"); err != nil {
		t.Fatal(err)
	}
	facts, err = open(t, redisstore.Options{URL: srv.UserURL("sallyport", "secret")}).Check(t.Context())
	if err != nil || !facts.Nodes[0].Evicts || facts.Nodes[0].Fsync != "" {
		t.Errorf("%+v, %v", facts, err)
	}
}
