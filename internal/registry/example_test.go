package registry_test

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
)

// A change is applied as a whole or not at all, and all of its faults are told at
// once. Readers see one snapshot or the other.
func ExampleNew() {
	ctx := context.Background()
	r, err := registry.New(ctx, registry.Options{Store: &memStore{}, Sealer: unsealed{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	app := registry.App{Name: "sync", ClientID: "3MVG9", ClientSecret: secret.NewText("hunter2")}
	org := registry.Org{Name: "acme", App: "sync", LoginURL: "https://acme.my.salesforce.com"}
	diff, err := r.Apply(ctx, registry.Change{Apps: []registry.App{app}, Orgs: []registry.OrgChange{{Org: org}}})
	fmt.Println(diff.Items, err)
	fmt.Println(r.Snapshot().OrgsForHost("acme.my.salesforce.com")[0].Name)

	org.Name, org.App, app.Name = "globex", "nobody", "more"
	_, err = r.Apply(ctx, registry.Change{Apps: []registry.App{app}, Orgs: []registry.OrgChange{{Org: org}}})
	fmt.Println(err)
	fmt.Println(r.Snapshot().App("more") == nil)
	// Output:
	// [{app sync created []} {org acme created []}] <nil>
	// acme
	// nothing was applied:
	//   orgs[0].app: there is no app "nobody"
	// true
}

// unsealed is a registry.Sealer that seals nothing.
type unsealed struct{}

func (unsealed) Seal(plain []byte, _, _ string) ([]byte, error)  { return plain, nil }
func (unsealed) Open(sealed []byte, _, _ string) ([]byte, error) { return sealed, nil }
