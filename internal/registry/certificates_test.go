package registry_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/registry"
)

func TestCheckCertificate(t *testing.T) {
	for _, entry := range []string{"dns:a.example", "dns:billing", "dns:x_1.a.example", "spiffe://prod.example/ns/billing/sa/Default",
		"spiffe://prod_1/a.b-c_d", "spiffe://" + strings.Repeat("a", 255) + "/x"} {
		if err := registry.CheckCertificate(entry); err != nil {
			t.Errorf("%q: %v", entry, err)
		}
	}
	for _, entry := range []string{"", "a.example", "dns:", "dns:a.example.", "dns:a.example:443", "dns:10.0.0.1", "DNS:a.example", "spiffe:prod.example/x",
		"spiffe:spiffe://prod.example/x", "spiffe://", "spiffe:///x", "spiffe://prod.example/", "spiffe://prod.example/x/", "spiffe://prod.example//x",
		"spiffe://prod.example/../x", "spiffe://prod.example/./x", "spiffe://Prod.example/x", "spiffe://prod.example:443/x", "spiffe://u@prod.example/x",
		"spiffe://prod.example/x?y", "spiffe://prod.example/x#y", "spiffe://prod.example/%78", "spiffe://prod.example/*",
		"spiffe://" + strings.Repeat("a", 256) + "/x", "spiffe://a/" + strings.Repeat("x", 2048), "uri:urn:x", "email:a@a.example"} {
		if registry.CheckCertificate(entry) == nil {
			t.Errorf("%q was taken", entry)
		}
	}
}

func certified(name string, entries ...string) registry.ClientChange {
	c := client(name)
	c.Certificates = entries
	return c
}

func owners(s *registry.Snapshot, entry string) []string {
	var names []string
	for _, c := range s.ClientsByCertificate(entry) {
		names = append(names, c.Name)
	}
	return names
}

func TestACertificateIsOneClients(t *testing.T) {
	r := open(t, registry.Options{})
	apply(t, r, registry.Change{Clients: []registry.ClientChange{certified("old", "dns:a.example", "spiffe://prod.example/a")}})
	next := registry.Change{Clients: []registry.ClientChange{certified("new", "dns:b.example", "dns:a.example")}}
	_, err := r.Apply(t.Context(), next)
	want := []registry.Fault{{Path: "clients[0].certificates[1]",
		Message: `the clients "old" and "new" both have "dns:a.example": a certificate is one client's; take it from one, or disable that`}}
	if diff := cmp.Diff(want, faults(t, err)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"old"}, owners(r.Snapshot(), "dns:a.example")); diff != "" {
		t.Error(diff)
	}

	next.Prune = true // Disables the old client, which then holds no certificate any more.
	apply(t, r, next)
	for entry, want := range map[string][]string{"dns:a.example": {"new"}, "dns:b.example": {"new"}, "spiffe://prod.example/a": nil} {
		if diff := cmp.Diff(want, owners(r.Snapshot(), entry)); diff != "" {
			t.Errorf("%s: %s", entry, diff)
		}
	}

	_, err = r.Apply(t.Context(), registry.Change{Clients: []registry.ClientChange{certified("old", "dns:a.example")}})
	if got := faults(t, err); len(got) != 1 || !strings.Contains(got[0].Message, `"new" and "old"`) {
		t.Errorf("a client came back with a certificate that is another's: %v", err)
	}
	swap := registry.Change{Clients: []registry.ClientChange{certified("old", "dns:a.example"), certified("new", "dns:b.example")}}
	apply(t, r, swap)
	if diff := cmp.Diff([]string{"old"}, owners(r.Snapshot(), "dns:a.example")); diff != "" {
		t.Errorf("a certificate didn't go from one client to the other: %s", diff)
	}
}
