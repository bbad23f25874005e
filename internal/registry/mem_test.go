package registry_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
)

// memStore is a registry.Store in memory.
type memStore struct {
	// mu guards all below.
	mu      sync.Mutex
	doc     []byte
	version uint64
	saves   int
	fail    error
	before  func() // Called once, before the next save, without mu.
}

func (m *memStore) LoadRegistry(context.Context) ([]byte, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.doc, m.version, m.fail
}

func (m *memStore) SaveRegistry(_ context.Context, doc []byte, expect uint64) error {
	m.mu.Lock()
	before := m.before
	m.before = nil
	m.mu.Unlock()
	if before != nil {
		before()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	if expect != m.version {
		return registry.ErrConflict
	}
	m.doc, m.version, m.saves = doc, m.version+1, m.saves+1
	return nil
}

func keyring(t *testing.T) *secret.Keyring {
	t.Helper()
	ks, err := secret.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	k, err := secret.ParseKeyring(ks)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func open(t *testing.T, opts registry.Options) *registry.Registry {
	t.Helper()
	if opts.Store == nil {
		opts.Store = &memStore{}
	}
	if opts.Sealer == nil {
		opts.Sealer = keyring(t)
	}
	r, err := registry.New(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func apply(t *testing.T, r *registry.Registry, c registry.Change) registry.Diff {
	t.Helper()
	d, err := r.Apply(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func faults(t *testing.T, err error) []registry.Fault {
	t.Helper()
	var invalid *registry.InvalidError
	if !errors.As(err, &invalid) || !errors.Is(err, registry.ErrInvalid) {
		t.Fatalf("got %v, want an InvalidError", err)
	}
	return invalid.Faults
}

func app(name string) registry.App {
	return registry.App{Name: name, ClientID: "3MVG9." + name, ClientSecret: secret.NewText("s3cret-of-" + name)}
}

func org(name string) registry.OrgChange {
	return registry.OrgChange{Org: registry.Org{Name: name, App: "sync", LoginURL: "https://" + name + ".my.salesforce.com"}}
}

func client(name string, orgs ...string) registry.ClientChange {
	return registry.ClientChange{Client: registry.Client{Name: name, Orgs: orgs}}
}

func base() registry.Change {
	return registry.Change{
		Apps:    []registry.App{app("sync")},
		Orgs:    []registry.OrgChange{org("acme"), org("umbrella")},
		Clients: []registry.ClientChange{client("billing", "acme")},
	}
}
