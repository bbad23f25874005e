package redisstore_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/redistest"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/redisstore"
	"github.com/sallyport/sallyport/tokens/tokenstest"
)

// contract is a TTL at whose third an expired lock is noticed.
const contractTTL = 900 * time.Millisecond

// restartable is a store whose server can take another identity.
type restartable struct {
	*redisstore.Store
	t *testing.T
	s *redistest.Server
}

func (r restartable) Restart() {
	if err := r.s.Promote(r.t.Context()); err != nil {
		r.t.Error(err)
	}
}

func TestStoreAlone(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{Password: "pässw0rd/?#"})
	tokenstest.TestStore(t, func(t *testing.T) tokens.Store {
		return restartable{open(t, redisstore.Options{URL: s.URL(), LockTTL: contractTTL}), t, s}
	})
}

func TestStoreSentinel(t *testing.T) {
	t.Parallel()
	c := redistest.StartSentinel(t, redistest.Options{Password: "secret"}, 1)
	tokenstest.TestStore(t, func(t *testing.T) tokens.Store {
		return open(t, redisstore.Options{URL: c.URL(), LockTTL: contractTTL, Wait: 1})
	})
}

func TestStoreCluster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.Options{})
	tokenstest.TestStore(t, func(t *testing.T) tokens.Store {
		return open(t, redisstore.Options{URL: c.URL(), LockTTL: contractTTL})
	})
}

// documentedACL is the line of the package's documentation.
func documentedACL(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^//\t(user sallyport .*)$`).FindSubmatch(b)
	if m == nil {
		t.Fatal("the documentation has no line of an ACL")
	}
	return strings.Replace(string(m[1]), "PASSWORD", "secret", 1)
}

// TestStoreLeastRights runs everything over TLS with a client certificate, as
// the user that the documentation describes.
func TestStoreLeastRights(t *testing.T) {
	t.Parallel()
	ca := redistest.StartCA(t)
	s := redistest.Start(t, redistest.Options{Password: "the-default-users", TLS: ca, ClientCerts: true, ACL: []string{documentedACL(t)}})
	o := redisstore.Options{URL: s.UserURL("sallyport", "secret"), TLS: ca.ClientConfig(clientPair(t, ca)), LockTTL: contractTTL, Sealer: sealer{}}
	tokenstest.TestStore(t, func(t *testing.T) tokens.Store {
		o.Prefix = prefix()
		return open(t, o)
	})
	t.Run("and all else that a store does", func(t *testing.T) {
		o.Prefix = "" // as the line has it
		everything(t, open(t, o))
	})
	t.Run("without a client certificate", func(t *testing.T) {
		o := o
		o.TLS = &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS12}
		unopened(t, o, redisstore.ErrUnavailable)
	})
	t.Run("with the system's roots", func(t *testing.T) {
		o := o
		o.TLS = nil
		unopened(t, o, redisstore.ErrUnavailable)
	})
}

func clientPair(t *testing.T, ca *redistest.CA) tls.Certificate {
	t.Helper()
	cert, key, err := ca.Pair()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// unopened wants Open to fail, and to show no secret.
func unopened(t *testing.T, o redisstore.Options, want error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	s, err := redisstore.Open(ctx, o)
	if err == nil {
		s.Close()
	}
	if !errors.Is(err, want) {
		t.Errorf("Open: %v, want %v", err, want)
	}
	if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "s3cr")) {
		t.Errorf("a password is shown: %v", err)
	}
}

// everything does once what the contract of tokens.Store doesn't.
func everything(t *testing.T, s *redisstore.Store) {
	t.Helper()
	ctx := t.Context()
	heard := watch(t, s)
	changed := make(chan struct{}, 9)
	watching(t, func(ctx context.Context) error { return s.WatchRegistry(ctx, func() { changed <- struct{}{} }) })
	await(t, "the registry's subscription", changed)
	var errs []error
	do := func(err error) { errs = append(errs, err) }
	do(s.SetMeta(ctx, "x", []byte("1")))
	for _, f := range []func() ([]byte, error){
		func() ([]byte, error) { return s.MetaOnce(ctx, "deployment", []byte("d")) },
		func() ([]byte, error) { return s.Meta(ctx, "x") },
	} {
		_, err := f()
		do(err)
	}
	do(s.SaveRegistry(ctx, []byte("doc"), 0))
	_, _, err := s.LoadRegistry(ctx)
	do(err)
	await(t, "the registry's change", changed)
	do(s.Append(ctx, tokens.Exchange{Org: "acme", Generation: 1}))
	_, err = s.List(ctx, "", time.Time{}, 1)
	do(err)
	do(s.Keep(ctx, tokens.Entry{Org: "acme", Attempt: "a", Answer: tokens.Answer("raw")}))
	for _, err := range s.Kept(ctx) {
		do(err)
	}
	do(s.Drop(ctx, "acme", "a"))
	_, err = s.Identity(ctx)
	do(err)
	enrol(t, s)
	if r := await(t, "the enrolment", heard); r.Org != "acme" {
		t.Errorf("heard of %q", r.Org)
	}
	facts, err := s.Check(ctx)
	do(err)
	if len(facts.Missing) > 0 {
		t.Errorf("missing rights: %v", facts.Missing)
	}
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}

// watching runs a watch until t ends.
func watching(t testing.TB, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }() // ends with cancel
	t.Cleanup(func() {
		cancel()
		if err := await(t, "the end of a watch", done); !errors.Is(err, context.Canceled) && !errors.Is(err, redisstore.ErrClosed) {
			t.Errorf("a watch ended with %v", err)
		}
	})
}

// watch returns what s hears from now on. It returns when the subscription
// stands.
func watch(t testing.TB, s *redisstore.Store) <-chan tokens.Record {
	t.Helper()
	c, stood := make(chan tokens.Record, 1000), make(chan struct{}, 1)
	watching(t, func(ctx context.Context) error {
		return s.Watch(ctx, func(r tokens.Record) {
			if r.Org != "stands" {
				c <- r
				return
			}
			select {
			case stood <- struct{}{}:
			default:
			}
		})
	})
	b, err := json.Marshal(tokens.Record{Schema: tokens.Schema, Org: "stands"})
	if err != nil {
		t.Fatal(err)
	}
	id, err := s.Meta(t.Context(), "deployment")
	if err != nil {
		t.Fatal(err)
	}
	end := time.After(15 * time.Second)
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		if err := s.Shout(`{"deployment":"` + string(id) + `","record":` + string(b) + `}`); err != nil {
			t.Fatal(err)
		}
		select {
		case <-stood:
			tick.Stop()
			return c
		case <-tick.C:
		case <-end:
			t.Fatal("the subscription never stood")
		}
	}
}

// sealer binds to org and field, and hides nothing.
type sealer struct{}

func (sealer) Seal(plain []byte, org, field string) ([]byte, error) {
	return append([]byte("sealed for "+org+" "+field+":"), plain...), nil
}

func (sealer) Open(sealed []byte, org, field string) ([]byte, error) {
	plain, ok := bytes.CutPrefix(sealed, []byte("sealed for "+org+" "+field+":"))
	if !ok {
		return nil, errors.New("sealed for another")
	}
	return bytes.Clone(plain), nil
}
