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
	if len(third.Reveal()) != 52 || !valid(r, third) || valid(r, first) || !valid(r, secret.NewText("second-secret")) {
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

func TestHashesOfGeneratedSecrets(t *testing.T) {
	made := registry.GenerateSecret()
	h, err := registry.HashSecret(made)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := registry.HashSecret(made)
	if !registry.IsGenerated(made) || !registry.IsFastHash(h) || h == again || strings.Contains(h, made.Reveal()[4:]) {
		t.Errorf("hashes %q and %q", h, again)
	}
	if !registry.VerifySecret(h, made) || registry.VerifySecret(h, registry.GenerateSecret()) || registry.VerifySecret(h, secret.Text{}) {
		t.Error("another secret verifies, or this one doesn't")
	}
	for name, hash := range map[string]string{
		"nothing": "hmac-sha256:", "no salt": "hmac-sha256::" + strings.SplitN(h, ":", 3)[2], "no sum": h[:strings.LastIndex(h, ":")+1], "no base64": h + "!",
	} {
		if registry.VerifySecret(hash, made) {
			t.Errorf("a hash with %s verifies", name)
		}
	}
	for name, s := range map[string]string{
		"a secret of an earlier version":   "dGhpcyBpcyBhIHNlY3JldCBvZiAyNTYgYml0cyE9PT0",
		"another version":                  "sp2_" + made.Reveal()[4:],
		"one that was cut":                 made.Reveal()[:40],
		"one that somebody made up":        "sp1_" + strings.Repeat("a", 48),
		"one with a line break behind it":  made.Reveal() + "\n",
		"one that is padded like base64":   made.Reveal() + "=",
		"a prefix and nothing behind it":   "sp1_",
		"one with a wrong letter in it":    made.Reveal()[:10] + "%" + made.Reveal()[11:],
		"nothing, which is never a secret": "",
	} {
		if registry.IsGenerated(secret.NewText(s)) {
			t.Errorf("%s counts as generated", name)
		}
	}
	slow, err := registry.HashSecret(secret.NewText("sp1_chosen"))
	if err != nil || registry.IsFastHash(slow) || !registry.VerifySecret(slow, secret.NewText("sp1_chosen")) {
		t.Errorf("a chosen secret that begins alike: %q, %v", slow, err)
	}
}
