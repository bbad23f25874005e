package registry_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
)

func valid(r *registry.Registry, s secret.Text) bool {
	for _, h := range r.Snapshot().Client("billing").SecretHashes {
		if registry.VerifySecret(h, s) {
			return true
		}
	}
	return false
}

func TestTheNewestTwoSecretsAreValid(t *testing.T) {
	store := &memStore{}
	r := open(t, registry.Options{Store: store})
	c := base()
	first := secret.NewText("first-secret")
	c.Clients[0].Secret = first
	apply(t, r, c)
	saves := store.saves
	if apply(t, r, c).Changed() || store.saves != saves {
		t.Error("the same secret again is a change")
	}
	c.Clients[0].Secret = secret.NewText("second-secret")
	d := apply(t, r, c)
	if got := d.Items[3].Fields; len(got) != 1 || got[0] != "secret" {
		t.Errorf("fields %v", got)
	}
	if !valid(r, first) || !valid(r, secret.NewText("second-secret")) {
		t.Error("a rollover ended a secret too early")
	}
	third, err := r.AddClientSecret(t.Context(), "billing")
	if err != nil {
		t.Fatal(err)
	}
	if len(third.Reveal()) != 43 || !valid(r, third) || valid(r, first) || !valid(r, secret.NewText("second-secret")) {
		t.Error("not the newest two secrets are valid")
	}
	c.Clients[0].Secret = secret.Text{}
	if apply(t, r, c).Changed() || !valid(r, third) {
		t.Error("an apply without a secret changed it")
	}
	if _, err := r.AddClientSecret(t.Context(), "nobody"); !errors.Is(err, registry.ErrUnknown) {
		t.Errorf("got %v", err)
	}
}

func TestHashSecret(t *testing.T) {
	long := strings.Repeat("x", 100)
	h, err := registry.HashSecret(secret.NewText(long + "1"))
	if err != nil {
		t.Fatal(err)
	}
	if !registry.VerifySecret(h, secret.NewText(long+"1")) {
		t.Error("the secret doesn't verify")
	}
	for name, s := range map[string]string{"one that differs behind 72 bytes": long + "2", "a prefix": long, "none": ""} {
		if registry.VerifySecret(h, secret.NewText(s)) {
			t.Errorf("%s verifies", name)
		}
	}
	if strings.Contains(h, long) || registry.VerifySecret("", secret.NewText(long)) || registry.VerifySecret("plain:x", secret.NewText("x")) {
		t.Error("the hash shows the secret, or an unknown hash verifies")
	}
	if _, err := registry.HashSecret(secret.Text{}); err == nil {
		t.Error("an empty secret was hashed")
	}
}
