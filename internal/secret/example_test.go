package secret_test

import (
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/internal/secret"
)

// A rotation has two steps, so that no replica meets a key that it lacks: every
// one gets the new key, and only then seals with it.
func ExampleRotate() {
	keyset, err := secret.NewKeyset()
	if err != nil {
		fmt.Println(err)
		return
	}
	old, _ := secret.ParseKeyring(keyset)
	sealed, _ := old.Seal([]byte("token"), "acme", "refresh_token")
	rotated, _, rotating := secret.Rotate(keyset)
	promoted, promoting := secret.Promote(rotated)
	if err := errors.Join(rotating, promoting); err != nil {
		fmt.Println(err)
		return
	}
	k, _ := secret.ParseKeyring(promoted)
	for _, key := range k.Keys() {
		fmt.Println(key.Type, key.Status, "primary:", key.Primary)
	}
	opened, err := k.Open(sealed, "acme", "refresh_token")
	fmt.Println(string(opened), err)
	// Output:
	// AES256-GCM ENABLED primary: false
	// AES256-GCM ENABLED primary: true
	// token <nil>
}

// A fingerprint names a token in records and logs without telling it.
func ExampleNewFingerprinter() {
	f, err := secret.NewFingerprinter(make([]byte, secret.FingerprintKeySize)) // a real key is random
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(f.Of("token"))
	fmt.Println(f.Of("Token") == f.Of("token"))
	fmt.Printf("of no token: %q\n", f.Of(""))
	// Output:
	// OmpwtX-RnZIYvTXCT5jD5w
	// false
	// of no token: ""
}
