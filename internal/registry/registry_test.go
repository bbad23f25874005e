package registry_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
)

func actions(d registry.Diff) map[string]string {
	got := map[string]string{}
	for _, i := range d.Items {
		got[i.Kind+" "+i.Name] = i.Action
		if len(i.Fields) > 0 {
			got[i.Kind+" "+i.Name] += fmt.Sprint(i.Fields)
		}
	}
	return got
}

func TestApplyCreatesThenUpdatesThenLeavesAlone(t *testing.T) {
	store := &memStore{}
	r := open(t, registry.Options{Store: store})
	want := map[string]string{"app sync": "created", "org acme": "created", "org umbrella": "created", "client billing": "created"}
	if diff := cmp.Diff(want, actions(apply(t, r, base()))); diff != "" {
		t.Error(diff)
	}
	for k := range want {
		want[k] = "unchanged"
	}
	saves, generation := store.saves, r.Snapshot().Generation()
	if diff := cmp.Diff(want, actions(apply(t, r, base()))); diff != "" {
		t.Error(diff)
	}
	if store.saves != saves || r.Snapshot().Generation() != generation {
		t.Error("an apply that changes nothing was saved")
	}
	c := registry.Change{Orgs: []registry.OrgChange{org("acme")}, Apps: []registry.App{app("sync")}}
	c.Orgs[0].Hosts = []string{"acme.my.salesforce.com"}
	c.Apps[0].ClientSecret = secret.NewText("another")
	got := actions(apply(t, r, c))
	if diff := cmp.Diff(map[string]string{"app sync": "updated[clientSecret]", "org acme": "updated[hosts]"}, got); diff != "" {
		t.Error(diff)
	}
	if r.Snapshot().Org("umbrella") == nil || r.Snapshot().Org("umbrella").Disabled {
		t.Error("an org that the change lacks did not stay")
	}
}

func TestDryRunChangesNothing(t *testing.T) {
	store := &memStore{}
	r := open(t, registry.Options{Store: store})
	c := base()
	c.DryRun = true
	c.Orgs[0].Seed = secret.NewText("5Aep")
	d := apply(t, r, c)
	if !d.Changed() || d.Seeds != nil || store.saves != 0 || r.Snapshot().App("sync") != nil {
		t.Errorf("got %+v after %d saves", d, store.saves)
	}
}

func TestPruneDisablesAndApplyingAgainEnables(t *testing.T) {
	r := open(t, registry.Options{})
	apply(t, r, base())
	c := registry.Change{Apps: []registry.App{app("sync")}, Orgs: []registry.OrgChange{org("umbrella")}, Prune: true}
	want := map[string]string{"app sync": "unchanged", "org umbrella": "unchanged", "org acme": "disabled", "client billing": "disabled"}
	if diff := cmp.Diff(want, actions(apply(t, r, c))); diff != "" {
		t.Error(diff)
	}
	s := r.Snapshot()
	if !s.Org("acme").Disabled || len(s.OrgsForHost("acme.my.salesforce.com")) != 0 || !s.Claimed("acme.my.salesforce.com") {
		t.Error("the pruned org still serves, or its host may be tunnelled")
	}
	if s.MayUse("billing", "acme") {
		t.Error("a disabled client may use a disabled org")
	}
	want = map[string]string{"app sync": "unchanged", "org umbrella": "unchanged", "org acme": "updated[disabled]", "client billing": "updated[disabled]"}
	if diff := cmp.Diff(want, actions(apply(t, r, base()))); diff != "" {
		t.Error(diff)
	}
}

func TestPruneRefusesToCutOffWhatTheChangeNeeds(t *testing.T) {
	r := open(t, registry.Options{})
	apply(t, r, base())
	c := registry.Change{Orgs: []registry.OrgChange{org("acme")}, Clients: []registry.ClientChange{client("billing", "umbrella")}, Prune: true}
	_, err := r.Apply(t.Context(), c)
	if got := faults(t, err); len(got) != 2 || got[0].Path != "orgs[0].app" || got[1].Path != "clients[0].orgs[0]" {
		t.Errorf("got %v", err)
	}
}

func TestRenameKeepsTheKeyAndClientsFollow(t *testing.T) {
	r := open(t, registry.Options{LiveGrants: func(string) bool { return true }})
	apply(t, r, base())
	o := org("acme")
	o.Name, o.PreviousName = "acme-eu", "acme"
	c := registry.Change{Orgs: []registry.OrgChange{o}}
	want := map[string]string{"org acme-eu": "renamed", "client billing": "updated[orgs]"}
	if diff := cmp.Diff(want, actions(apply(t, r, c))); diff != "" {
		t.Error(diff)
	}
	s := r.Snapshot()
	if s.Org("acme") != nil || s.Org("acme-eu").Key != "acme" || s.OrgByKey("acme").Name != "acme-eu" || !s.MayUse("billing", "acme") {
		t.Error("the rename lost the key, or the client its org")
	}
	if diff := cmp.Diff(map[string]string{"org acme-eu": "unchanged"}, actions(apply(t, r, c))); diff != "" {
		t.Error("applied again:", diff)
	}
	_, err := r.Apply(t.Context(), registry.Change{Orgs: []registry.OrgChange{org("acme")}})
	if got := faults(t, err); got[0].Path != "orgs[0].name" {
		t.Errorf("a new org takes the key of another: %v", err)
	}
	o = org("umbrella")
	o.PreviousName = "acme-eu"
	_, err = r.Apply(t.Context(), registry.Change{Orgs: []registry.OrgChange{o}})
	if got := faults(t, err); got[0].Path != "orgs[0].previousName" {
		t.Errorf("two orgs became one: %v", err)
	}
}

func TestAClientMayNotNameTheOldNameOfARename(t *testing.T) {
	r := open(t, registry.Options{})
	apply(t, r, base())
	o := org("acme")
	o.Name, o.PreviousName = "acme-eu", "acme"
	_, err := r.Apply(t.Context(), registry.Change{Orgs: []registry.OrgChange{o}, Clients: []registry.ClientChange{client("billing", "acme")}})
	if got := faults(t, err); len(got) != 1 || got[0].Path != "clients[0].orgs[0]" {
		t.Errorf("got %v", err)
	}
}

func TestALiveGrantKeepsItsHome(t *testing.T) {
	tests := []struct {
		name string
		edit func(*registry.Change)
		path string
	}{
		{"another app", func(c *registry.Change) { c.Apps, c.Orgs[0].App = append(c.Apps, app("other")), "other" }, "orgs[0].app"},
		{"another client id", func(c *registry.Change) { c.Apps[0].ClientID = "changed" }, "apps[0].clientId"},
		{"another login host", func(c *registry.Change) { c.Orgs[0].LoginURL = "https://new.my.salesforce.com" }, "orgs[0].loginUrl"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			live := true
			r := open(t, registry.Options{LiveGrants: func(key string) bool { return live && key == "acme" }})
			apply(t, r, base())
			c := base()
			tt.edit(&c)
			_, err := r.Apply(t.Context(), c)
			if got := faults(t, err); len(got) != 1 || got[0].Path != tt.path {
				t.Errorf("got %v, want one fault at %s", err, tt.path)
			}
			c.Rehome = []string{"acme"}
			if d := apply(t, r, c); !cmp.Equal(d.Rehomed, []string{"acme"}) {
				t.Errorf("rehomed %v", d.Rehomed)
			}
			live = false
			if d := apply(t, r, base()); d.Rehomed != nil {
				t.Errorf("without a live grant: rehomed %v", d.Rehomed)
			}
		})
	}
}

func TestSeedsComeBackForEnabledOrgs(t *testing.T) {
	r := open(t, registry.Options{})
	c := base()
	c.Orgs[0].Seed, c.Orgs[1].Seed, c.Orgs[1].Disabled = secret.NewText("5Aep1"), secret.NewText("5Aep2"), true
	want := []registry.Seed{{Org: "acme", Key: "acme", Token: secret.NewText("5Aep1")}}
	for range 2 {
		if got := apply(t, r, c).Seeds; len(got) != 1 || got[0] != want[0] {
			t.Errorf("got %v", got)
		}
	}
}

func TestConflictIsResolvedOnWhatTheOtherWrote(t *testing.T) {
	store, keys := &memStore{}, keyring(t)
	a := open(t, registry.Options{Store: store, Sealer: keys})
	b := open(t, registry.Options{Store: store, Sealer: keys})
	store.before = func() { apply(t, b, base()) }
	apply(t, a, registry.Change{Apps: []registry.App{app("other")}})
	if a.Snapshot().App("sync") == nil || a.Snapshot().App("other") == nil {
		t.Error("a change was lost")
	}
	told := 0
	defer b.Subscribe(func() { told++ })()
	for range 2 {
		if err := b.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if b.Snapshot().App("other") == nil || told != 1 {
		t.Errorf("told %d times", told)
	}
}

func TestAStoreThatFailsChangesNothing(t *testing.T) {
	store := &memStore{}
	r := open(t, registry.Options{Store: store})
	store.fail = errors.New("disk full")
	if _, err := r.Apply(t.Context(), base()); !errors.Is(err, store.fail) {
		t.Errorf("got %v", err)
	}
	if r.Snapshot().App("sync") != nil {
		t.Error("published what was not saved")
	}
}

func TestTheDocumentIsSealedAndComesBack(t *testing.T) {
	store, keys := &memStore{}, keyring(t)
	r := open(t, registry.Options{Store: store, Sealer: keys})
	c := base()
	c.Clients[0].Secret = secret.NewText("hunter2-hunter2")
	c.Clients[0].Passthrough = &[]string{}
	apply(t, r, c)
	for _, s := range []string{"s3cret-of-sync", "hunter2", "acme"} {
		if bytes.Contains(store.doc, []byte(s)) {
			t.Errorf("%q stands in the store in clear", s)
		}
	}
	again := open(t, registry.Options{Store: store, Sealer: keys}).Snapshot()
	if diff := cmp.Diff(r.Snapshot().Clients(), again.Clients()); diff != "" {
		t.Error(diff)
	}
	if again.App("sync").ClientSecret.Reveal() != "s3cret-of-sync" || !again.ClientsEverMade() {
		t.Error("the document did not come back whole")
	}
	if _, err := registry.New(t.Context(), registry.Options{Store: store, Sealer: keyring(t)}); !errors.Is(err, secret.ErrWrongKey) {
		t.Errorf("another keyset opened it: %v", err)
	}
}

func TestANewerSchemaIsRefused(t *testing.T) {
	keys := keyring(t)
	sealed, err := keys.Seal([]byte(`{"version":99,"apps":"of another shape"}`), "", "registry")
	if err != nil {
		t.Fatal(err)
	}
	_, err = registry.New(t.Context(), registry.Options{Store: &memStore{doc: sealed, version: 3}, Sealer: keys})
	var schema *registry.SchemaError
	if !errors.As(err, &schema) || schema.Found != 99 {
		t.Errorf("got %v", err)
	}
}

// A store that was emptied, or came back from an old dump, is given what a living process knows; one that is only
// behind in its own count of versions isn't mistaken for the one that is known.
func TestAStoreThatWentBackIsGivenTheRegistryAgain(t *testing.T) {
	for name, lose := range map[string]func(m *memStore, old []byte){
		"emptied":                               func(m *memStore, _ []byte) { m.doc, m.version = nil, 0 },
		"from an old dump":                      func(m *memStore, old []byte) { m.doc, m.version = old, 1 },
		"an old document under a known version": func(m *memStore, old []byte) { m.doc = old },
	} {
		t.Run(name, func(t *testing.T) {
			m, keys := &memStore{}, keyring(t)
			a := open(t, registry.Options{Store: m, Sealer: keys})
			apply(t, a, registry.Change{Apps: []registry.App{app("first")}})
			old := m.doc
			apply(t, a, registry.Change{Apps: []registry.App{app("second")}})
			lose(m, old)
			if err := a.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			if a.Snapshot().App("second") == nil {
				t.Error("the process took over what the store had lost")
			}
			late := open(t, registry.Options{Store: m, Sealer: keys})
			if late.Snapshot().App("first") == nil || late.Snapshot().App("second") == nil {
				t.Error("the store wasn't given what it lost")
			}
		})
	}
}
