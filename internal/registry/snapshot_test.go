package registry_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/registry"
)

func names(orgs []*registry.Org) []string {
	var n []string
	for _, o := range orgs {
		n = append(n, o.Name)
	}
	return n
}

func TestHosts(t *testing.T) {
	r := open(t, registry.Options{})
	if r.Snapshot().Claimed("login.salesforce.com") {
		t.Error("a shared host is claimed without any org")
	}
	c := base()
	c.Orgs[1].LoginURL = "https://login.salesforce.com"
	apply(t, r, c)
	generation, told := r.Snapshot().Generation(), 0
	cancel := r.Subscribe(func() { told++ })
	for range 2 {
		if err := r.SetInstanceHost("umbrella", "umbrella.my.salesforce.com"); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	s := r.Snapshot()
	if told != 1 || s.Generation() != generation+1 {
		t.Errorf("told %d times, generation %d after %d", told, s.Generation(), generation)
	}
	for host, want := range map[string][]string{
		"acme.my.salesforce.com":     {"acme"},
		"umbrella.my.salesforce.com": {"umbrella"},
		"login.salesforce.com":       {"acme", "umbrella"},
		"api.pubsub.salesforce.com":  {"acme", "umbrella"},
		"ACME.my.salesforce.com":     nil,
		"other.my.salesforce.com":    nil,
	} {
		if diff := cmp.Diff(want, names(s.OrgsForHost(host))); diff != "" {
			t.Errorf("%s: %s", host, diff)
		}
	}
	if diff := cmp.Diff([]string{"login.salesforce.com", "umbrella.my.salesforce.com"}, s.HostsOf("umbrella")); diff != "" {
		t.Error(diff)
	}
	apply(t, r, base())
	if s.Org("umbrella").LoginURL != "https://login.salesforce.com" {
		t.Error("an old snapshot changed")
	}
}

func TestSetInstanceHostRefuses(t *testing.T) {
	r := open(t, registry.Options{})
	apply(t, r, base())
	var host *registry.HostError
	for _, h := range []string{"evil.example", "10.0.0.1", "", "acme.my.salesforce.com:443"} {
		if err := r.SetInstanceHost("acme", h); !errors.As(err, &host) {
			t.Errorf("%q: %v", h, err)
		}
	}
	if err := r.SetInstanceHost("nobody", "acme.my.salesforce.com"); !errors.Is(err, registry.ErrUnknown) {
		t.Errorf("got %v", err)
	}
}

func TestExplicitHostsReplaceTheDefaults(t *testing.T) {
	r := open(t, registry.Options{})
	c := base()
	c.Orgs[0].Hosts = []string{"acme.my.site.com"}
	apply(t, r, c)
	if err := r.SetInstanceHost("acme", "acme2.my.salesforce.com"); err != nil {
		t.Fatal(err)
	}
	s := r.Snapshot()
	if s.Claimed("acme.my.salesforce.com") || s.Claimed("acme2.my.salesforce.com") || !s.Claimed("acme.my.site.com") {
		t.Errorf("hosts of acme: %v", s.HostsOf("acme"))
	}
}

func TestLookupsAllocateNothing(t *testing.T) {
	r := open(t, registry.Options{})
	apply(t, r, base())
	n := testing.AllocsPerRun(100, func() {
		s := r.Snapshot()
		for _, o := range s.OrgsForHost("login.salesforce.com") {
			s.MayUse("billing", o.Key)
		}
		s.Client("billing")
		s.Org("acme")
		s.OrgByKey("acme")
		s.Claimed("acme.my.salesforce.com")
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestReadersAndWritersTogether(t *testing.T) {
	r := open(t, registry.Options{})
	apply(t, r, base())
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 20 {
				c := base()
				c.Orgs[0].Disabled = (i+j)%2 == 0
				if _, err := r.Apply(t.Context(), c); err != nil {
					t.Error(err)
				}
				s := r.Snapshot()
				if s.OrgByKey("acme") == nil || s.MayUse("billing", "acme") == s.Org("acme").Disabled {
					t.Error("a snapshot is torn")
				}
			}
		})
	}
	wg.Wait()
}
