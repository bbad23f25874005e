package redisstore_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/redistest"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/redisstore"
)

func TestWhatIsWrittenIsHeard(t *testing.T) {
	t.Parallel()
	o := redisstore.Options{Prefix: prefix(), Replica: "one"}
	a, b := open(t, o), open(t, o)
	if _, err := a.MetaOnce(t.Context(), "deployment", []byte("ours")); err != nil {
		t.Fatal(err)
	}
	heard := watch(t, b)
	var took []time.Duration
	for gen := range int64(40) {
		began := time.Now()
		want, _, err := a.Commit(t.Context(), "acme", tokens.Committed{Record: record(gen + 1), Enrolment: true})
		if err != nil {
			t.Fatal(err)
		}
		got := await(t, "the record", heard)
		took = append(took, time.Since(began))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	}
	slices.Sort(took)
	t.Logf("from the commit's begin until another store has heard: median %v, most %v", took[len(took)/2], took[len(took)-1])
	if median := took[len(took)/2]; median > 5*time.Millisecond && !race {
		t.Errorf("the median is %v", median)
	}
}

func TestWhoSubscribesHearsWhatIsThere(t *testing.T) {
	t.Parallel()
	s := open(t, redisstore.Options{})
	want := enrol(t, s)
	if diff := cmp.Diff(want, await(t, "the record", watch(t, s))); diff != "" {
		t.Error(diff)
	}
}

func TestForeignMessagesAreIgnored(t *testing.T) {
	t.Parallel()
	s := open(t, redisstore.Options{})
	if _, err := s.MetaOnce(t.Context(), "deployment", []byte("ours")); err != nil {
		t.Fatal(err)
	}
	heard := watch(t, s)
	r := record(5)
	newer := r
	newer.Schema++
	encode := func(deployment string, r any) string {
		b, err := json.Marshal(map[string]any{"deployment": deployment, "record": r})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	other := r
	other.Generation = 6
	big := r
	big.Detail = strings.Repeat("x", redisstore.MaxMessage)
	for _, m := range []string{
		"", "garbage", "{}", "null", `{"deployment":"ours"}`, `{"deployment":"ours","record":7}`, `{"deployment":"ours","record":{}}`,
		encode("theirs", other), encode("", other), encode("ours", newer), encode("ours", big),
		`{"deployment":"ours","record":{"schema":1,"org":"acme","state":"levitating"}}`,
	} {
		if err := s.Shout(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Shout(encode("ours", r)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, await(t, "our own message", heard)); diff != "" {
		t.Error(diff)
	}
}

func TestAWatchOutlivesTheServer(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t, redistest.Options{AppendOnly: true})
	o := redisstore.Options{URL: srv.URL(), Prefix: prefix()}
	a, b := open(t, o), open(t, o)
	heard := watch(t, b)
	enrol(t, a)
	await(t, "the enrolment", heard)
	if err := srv.Restart(); err != nil {
		t.Fatal(err)
	}
	// What is written before the subscription stands again is heard as well.
	if _, _, err := a.Commit(t.Context(), "acme", tokens.Committed{Record: record(2)}); err != nil {
		t.Fatal(err)
	}
	for await(t, "the commit", heard).Generation != 2 {
	}
}
