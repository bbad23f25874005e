package redisstore_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/internal/redistest"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/redisstore"
)

// shared is a server for all tests that harm nothing but their own keys.
var shared struct {
	once   sync.Once
	server *redistest.Server
	err    error
}

func TestMain(m *testing.M) {
	if spec := os.Getenv("REDISSTORE_TEST_HOLDER"); spec != "" {
		if err := holder(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	dir, err := os.MkdirTemp("", "redisstore")
	if err != nil {
		panic(err)
	}
	slog.SetDefault(slog.New(slog.DiscardHandler))
	sharedDir = dir
	code := m.Run()
	if shared.server != nil {
		if err := shared.server.Kill(); err != nil {
			code = 1
		}
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

var sharedDir string

func server(t testing.TB) *redistest.Server {
	t.Helper()
	shared.once.Do(func() { shared.server, shared.err = redistest.Run(redistest.Options{Dir: sharedDir}) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

var prefixes atomic.Int64

// prefix is one that no other test has.
func prefix() string { return fmt.Sprint("sallyport:t", prefixes.Add(1)) }

// open opens a store that ends with t, of the shared server unless o says
// otherwise.
func open(t testing.TB, o redisstore.Options) *redisstore.Store {
	t.Helper()
	if o.URL == "" {
		o.URL = server(t).URL()
	}
	if o.Prefix == "" {
		o.Prefix = prefix()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	s, err := redisstore.Open(ctx, o)
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

// unprobed opens a store whose connections have written nothing.
func unprobed(t *testing.T, o redisstore.Options) *redisstore.Store {
	t.Helper()
	s, err := redisstore.Unprobed(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func record(gen int64) tokens.Record {
	return tokens.Record{
		Schema: tokens.Schema, Org: "acme", SingleUse: true, Place: tokens.Place{Epoch: 1, Generation: gen},
		Refresh: []byte("sealed"), Fingerprint: fmt.Sprint("fp", gen), State: tokens.Ready,
	}
}

// enrol writes a first record.
func enrol(t testing.TB, s *redisstore.Store) tokens.Record {
	t.Helper()
	r, _, err := s.Commit(t.Context(), "acme", tokens.Committed{Record: record(1), Enrolment: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// hold holds acme while fn runs, and fails the test where it can't.
func hold(t testing.TB, s *redisstore.Store, fn func(context.Context, tokens.Hold)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.Hold(ctx, "acme", func(ctx context.Context, h tokens.Hold) error { fn(ctx, h); return nil }); err != nil {
		t.Fatal(err)
	}
}

func load(t testing.TB, s *redisstore.Store) tokens.Record {
	t.Helper()
	r, err := s.Load(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// await waits for c, and fails the test where it takes long.
func await[T any](t testing.TB, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(15 * time.Second):
		t.Fatalf("%s: nothing came", what)
	}
	return v
}
