package secret_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/mac"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
)

func newKeyset(t *testing.T) []byte {
	t.Helper()
	b, err := secret.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parse(t *testing.T, keysetJSON []byte) *secret.Keyring {
	t.Helper()
	k, err := secret.ParseKeyring(keysetJSON)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func seal(t *testing.T, k *secret.Keyring, s, org, field string) []byte {
	t.Helper()
	b, err := k.Seal([]byte(s), org, field)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestASealedValueOpensOnlyWhereItWasSealed(t *testing.T) {
	k := parse(t, newKeyset(t))
	sealed := seal(t, k, plain, "ab", "c")
	if leaks(string(sealed)) {
		t.Fatal("the sealed value shows the secret")
	}
	tests := []struct {
		name, org, field string
		opens            bool
	}{
		{"the same org and field", "ab", "c", true},
		{"another org", "ac", "c", false},
		{"another field", "ab", "d", false},
		{"org and field split elsewhere", "a", "bc", false},
		{"all of it in the org", "abc", "", false},
		{"all of it in the field", "", "abc", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := k.Open(sealed, tt.org, tt.field)
			if tt.opens {
				if err != nil || string(got) != plain {
					t.Fatalf("Open = %q, %v", got, err)
				}
				return
			}
			wrong, ok := errors.AsType[*secret.WrongKeyError](err)
			if !ok || !errors.Is(err, secret.ErrWrongKey) {
				t.Fatalf("Open = %q, %v", got, err)
			}
			if wrong.Org != tt.org || wrong.Field != tt.field || !wrong.Known {
				t.Errorf("the error says %+v", *wrong)
			}
		})
	}
}

func TestOpenSaysWhyAValueDoesNotOpen(t *testing.T) {
	k, foreign := parse(t, newKeyset(t)), parse(t, newKeyset(t))
	altered := seal(t, k, plain, "acme", "refresh_token")
	altered[len(altered)-1] ^= 1
	tests := []struct {
		name   string
		sealed []byte
		want   string
	}{
		{"sealed by another keyset", seal(t, foreign, plain, "acme", "refresh_token"), "which the keyset lacks"},
		{"altered", altered, "does not open with it"},
		{"truncated to nothing", nil, "is not a sealed value"},
		{"in clear", []byte(plain), "is not a sealed value"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := k.Open(tt.sealed, "acme", "refresh_token")
			if !errors.Is(err, secret.ErrWrongKey) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), `"acme"`) {
				t.Errorf("Open: %v", err)
			}
			if leaks(err.Error()) {
				t.Error("the error shows the secret")
			}
		})
	}
}

func TestRotationKeepsOldValuesOpen(t *testing.T) {
	first := newKeyset(t)
	before := seal(t, parse(t, first), plain, "acme", "f")

	rotated, id, err := secret.Rotate(first)
	if err != nil {
		t.Fatal(err)
	}
	infos, err := secret.List(rotated)
	if err != nil {
		t.Fatal(err)
	}
	want := []secret.KeyInfo{
		{ID: infos[0].ID, Primary: true, Status: "ENABLED", Type: "AES256-GCM"},
		{ID: id, Primary: false, Status: "ENABLED", Type: "AES256-GCM"},
	}
	if diff := cmp.Diff(want, infos); diff != "" {
		t.Errorf("after rotate (-want +got):\n%s", diff)
	}
	// A replica that hasn't the new key yet opens what a rotated one seals.
	if _, err := parse(t, first).Open(seal(t, parse(t, rotated), plain, "acme", "f"), "acme", "f"); err != nil {
		t.Errorf("a rotated, not promoted keyset seals with the new key: %v", err)
	}

	promoted, err := secret.Promote(rotated)
	if err != nil {
		t.Fatal(err)
	}
	want[0].Primary, want[1].Primary = false, true
	infos, _ = secret.List(promoted)
	if diff := cmp.Diff(want, infos); diff != "" {
		t.Errorf("after promote (-want +got):\n%s", diff)
	}
	k := parse(t, promoted)
	if got, err := k.Open(before, "acme", "f"); err != nil || string(got) != plain {
		t.Errorf("an older value: %q, %v", got, err)
	}
	after := seal(t, k, plain, "acme", "f")
	if _, err := parse(t, first).Open(after, "acme", "f"); !errors.Is(err, secret.ErrWrongKey) {
		t.Errorf("a promoted keyset does not seal with the new key: %v", err)
	}
	if _, err := secret.Promote(promoted); !errors.Is(err, secret.ErrNothingToPromote) {
		t.Errorf("a second promote: %v", err)
	}
}

func TestSwapRefusesAKeysetThatWouldLoseValues(t *testing.T) {
	first := newKeyset(t)
	k := parse(t, first)
	sealed := seal(t, k, plain, "acme", "f")
	for name, bad := range map[string][]byte{"another keyset": newKeyset(t), "a cut file": first[:40], "an empty file": nil} {
		if _, ok := errors.AsType[*secret.KeysetError](k.Swap(bad)); !ok {
			t.Errorf("%s was taken", name)
		}
		if _, err := k.Open(sealed, "acme", "f"); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}
	if err := k.Swap(newKeyset(t)); !errors.Is(err, secret.ErrKeysetDropsKey) {
		t.Errorf("another keyset: %v", err)
	}
}

func TestSwapWhileSealingAndOpening(t *testing.T) {
	first := newKeyset(t)
	rotated, id, err := secret.Rotate(first)
	if err != nil {
		t.Fatal(err)
	}
	promoted, err := secret.Promote(rotated)
	if err != nil {
		t.Fatal(err)
	}
	k := parse(t, rotated)
	var wg sync.WaitGroup // Its goroutines end by themselves after 200 rounds.
	for range 4 {
		wg.Go(func() {
			for range 200 {
				b, err := k.Seal([]byte(plain), "acme", "f")
				if err == nil {
					_, err = k.Open(b, "acme", "f")
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 50 {
		for _, b := range [][]byte{promoted, rotated} {
			if err := k.Swap(b); err != nil {
				t.Error(err)
			}
		}
	}
	wg.Wait()
	if err := k.Swap(promoted); err != nil {
		t.Fatal(err)
	}
	if keys := k.Keys(); keys[len(keys)-1].ID != id || !keys[len(keys)-1].Primary {
		t.Errorf("Keys() = %+v", keys)
	}
}

func foreignKeyset(t *testing.T, kt *tinkpb.KeyTemplate) []byte {
	t.Helper()
	h, err := keyset.NewHandle(kt)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := insecurecleartextkeyset.Write(h, keyset.NewJSONWriter(&b)); err != nil {
		t.Fatal(err)
	}
	return []byte(b.String())
}

func TestABadKeysetIsRefusedWithoutShowingIt(t *testing.T) {
	good := newKeyset(t)
	var doc struct {
		Key []struct {
			KeyData struct{ Value string }
		}
	}
	if err := json.Unmarshal(good, &doc); err != nil {
		t.Fatal(err)
	}
	material := doc.Key[0].KeyData.Value
	replace := func(old, new string) []byte { return []byte(strings.Replace(string(good), old, new, 1)) }
	tests := []struct {
		name   string
		keyset []byte
		kind   error
	}{
		{"nothing", nil, secret.ErrKeysetEmpty},
		{"white space", []byte(" \n"), secret.ErrKeysetEmpty},
		{"no key", []byte(`{"primaryKeyId":1,"key":[]}`), secret.ErrKeysetEmpty},
		{"an empty object", []byte(`{}`), secret.ErrKeysetEmpty},
		{"a string", []byte(`"` + material + `"`), secret.ErrKeysetMalformed},
		{"the key material alone", []byte(material), secret.ErrKeysetMalformed},
		{"a truncated file", good[:len(good)/2], secret.ErrKeysetMalformed},
		{"a misplaced quote", replace(material, material[:9]+`"`+material[9:]), secret.ErrKeysetMalformed},
		{"key material that is not base64", replace(material, "*"+material), secret.ErrKeysetMalformed},
		{"an unknown key type", replace("type.googleapis.com/google.crypto.tink.AesGcmKey", material), secret.ErrKeysetType},
		{"a primary key that is not there", replace(`"primaryKeyId": `, `"primaryKeyId": 1`), secret.ErrKeysetMalformed},
		{"a disabled primary key", replace("ENABLED", "DISABLED"), secret.ErrKeysetMalformed},
		{"an encrypted keyset", []byte(`{"encryptedKeyset":"` + material + `"}`), secret.ErrKeysetMalformed},
		{"AES128-GCM", foreignKeyset(t, aead.AES128GCMKeyTemplate()), secret.ErrKeysetType},
		{"AES256-GCM without a prefix", foreignKeyset(t, aead.AES256GCMNoPrefixKeyTemplate()), secret.ErrKeysetType},
		{"XChaCha20-Poly1305", foreignKeyset(t, aead.XChaCha20Poly1305KeyTemplate()), secret.ErrKeysetType},
		{"HMAC", foreignKeyset(t, mac.HMACSHA256Tag128KeyTemplate()), secret.ErrKeysetType},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := secret.ParseKeyring(tt.keyset)
			if _, ok := errors.AsType[*secret.KeysetError](err); !ok || !errors.Is(err, tt.kind) {
				t.Fatalf("ParseKeyring: %v, want kind %q", err, tt.kind)
			}
			for i := 0; i+8 <= len(material); i += 4 {
				if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), material[i:i+8]) {
					t.Fatalf("the error shows key material: %v", err)
				}
			}
			if _, err := secret.List(tt.keyset); !errors.Is(err, tt.kind) {
				t.Errorf("List: %v", err)
			}
			if _, _, err := secret.Rotate(tt.keyset); !errors.Is(err, tt.kind) {
				t.Errorf("Rotate: %v", err)
			}
			if _, err := secret.Promote(tt.keyset); !errors.Is(err, tt.kind) {
				t.Errorf("Promote: %v", err)
			}
		})
	}
}

func TestFingerprintsNameATokenUnderOneKey(t *testing.T) {
	key := secret.NewFingerprintKey()
	f, err := secret.NewFingerprinter(key)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := secret.NewFingerprinter(key)
	other, _ := secret.NewFingerprinter(secret.NewFingerprintKey())
	got := f.Of(plain)
	if len(got) != 22 || got != again.Of(plain) || got == f.Of(plain+"x") || got == other.Of(plain) {
		t.Errorf("Of = %q", got)
	}
	if f.Of("") != "" {
		t.Error("an empty token has a fingerprint")
	}
	if _, err := secret.NewFingerprinter(key[:31]); err == nil {
		t.Error("a short key was taken")
	}
	fixed, _ := secret.NewFingerprinter(make([]byte, secret.FingerprintKeySize))
	// printf %s token | openssl dgst -sha256 -mac HMAC -macopt hexkey:00…00 -binary | head -c 16 | base64
	if got, want := fixed.Of("token"), "OmpwtX-RnZIYvTXCT5jD5w"; got != want {
		t.Errorf("Of under the zero key = %q, want %q", got, want)
	}
	if shown := fmt.Sprintf("%+v %#v", f, *f); strings.Contains(shown, fmt.Sprint(key[:4])[1:8]) {
		t.Errorf("the key shows: %s", shown)
	}
}

func ExampleKeyring() {
	keysetJSON, _ := secret.NewKeyset()
	k, _ := secret.ParseKeyring(keysetJSON)
	sealed, _ := k.Seal([]byte("token"), "acme-prod", "refresh_token")
	_, err := k.Open(sealed, "acme-dev", "refresh_token")
	fmt.Println(errors.Is(err, secret.ErrWrongKey))
	opened, _ := k.Open(sealed, "acme-prod", "refresh_token")
	fmt.Printf("%s\n", opened)
	// Output:
	// true
	// token
}
