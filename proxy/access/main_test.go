package access_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a registry.Store and registry.Sealer for tests that care about neither.
type memory struct {
	doc     []byte
	version uint64
}

func (m *memory) LoadRegistry(context.Context) ([]byte, uint64, error) { return m.doc, m.version, nil }
func (m *memory) SaveRegistry(_ context.Context, doc []byte, _ uint64) error {
	m.doc, m.version = doc, m.version+1
	return nil
}
func (m *memory) Seal(plain []byte, _, _ string) ([]byte, error)  { return plain, nil }
func (m *memory) Open(sealed []byte, _, _ string) ([]byte, error) { return sealed, nil }

func newRegistry(t *testing.T, c registry.Change) *registry.Registry {
	t.Helper()
	m := &memory{}
	r, err := registry.New(t.Context(), registry.Options{Store: m, Sealer: m})
	if err != nil {
		t.Fatal(err)
	}
	apply(t, r, c)
	return r
}

func apply(t *testing.T, r *registry.Registry, c registry.Change) {
	t.Helper()
	if _, err := r.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func org(name string, hosts ...string) registry.OrgChange {
	return registry.OrgChange{Org: registry.Org{
		Name: name, App: "sync", Hosts: hosts, LoginURL: "https://" + name + ".my.salesforce.com",
	}}
}

func client(name, pass string, orgs ...string) registry.ClientChange {
	return registry.ClientChange{Client: registry.Client{Name: name, Orgs: orgs}, Secret: secret.NewText(pass)}
}

// world has the orgs acme and umbrella, and acme-too on acme's host.
func world(clients ...registry.ClientChange) registry.Change {
	return registry.Change{
		Apps: []registry.App{{Name: "sync", ClientID: "3MVG9", ClientSecret: secret.NewText("s3cret")}},
		Orgs: []registry.OrgChange{
			org("acme"), org("umbrella"), org("acme-too", "acme.my.salesforce.com"),
		},
		Clients: clients,
	}
}
