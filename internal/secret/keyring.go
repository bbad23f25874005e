package secret

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// Keyring seals and opens secrets with a keyset (AES256-GCM; the primary key seals, every enabled key opens). The
// sealed form is bound to an org and a field: moved to another, it does not open. A Keyring is made by [ParseKeyring],
// safe for concurrent use, and must not be copied.
type Keyring struct {
	current atomic.Pointer[ring]
}

// ring is one parsed keyset; it never changes.
type ring struct {
	aead tink.AEAD
	keys []KeyInfo
}

// ParseKeyring reads a keyset in clear, as [NewKeyset] makes it. It fails with a [KeysetError].
func ParseKeyring(keysetJSON []byte) (*Keyring, error) {
	r, err := parseRing(keysetJSON)
	if err != nil {
		return nil, err
	}
	k := new(Keyring)
	k.current.Store(r)
	return k, nil
}

func parseRing(keysetJSON []byte) (*ring, error) {
	h, err := decodeKeyset(keysetJSON)
	if err != nil {
		return nil, err
	}
	a, err := aead.New(h)
	if err != nil {
		return nil, &KeysetError{ErrKeysetMalformed, "its keys cannot be used", "restore the file; " + hintNew}
	}
	return &ring{aead: a, keys: describe(h)}, nil
}

// Swap puts another keyset in place, for a file that was rotated or promoted while the process runs. It fails with a
// [KeysetError] and leaves the old keyset in use when the new one doesn't parse, or (kind [ErrKeysetDropsKey]) cannot
// open what the old one sealed last: a wrong file must not take every sealed value away. Calls under way finish with
// the keyset that they began with.
func (k *Keyring) Swap(keysetJSON []byte) error {
	next, err := parseRing(keysetJSON)
	if err != nil {
		return err
	}
	for {
		old := k.current.Load()
		probe, err := old.aead.Encrypt(nil, nil)
		if err != nil {
			return fmt.Errorf("seal a probe: %w", err)
		}
		if _, err := next.aead.Decrypt(probe, nil); err != nil {
			return &KeysetError{ErrKeysetDropsKey, fmt.Sprintf("it does not open what key %d seals", old.primary()),
				"the keyset in use stays; add keys with `sallyport keyset rotate` instead of making a new keyset"}
		}
		if k.current.CompareAndSwap(old, next) {
			return nil
		}
	}
}

// Keys describes the keys in use, oldest first.
func (k *Keyring) Keys() []KeyInfo { return append([]KeyInfo(nil), k.current.Load().keys...) }

// Seal encrypts plaintext for one field of one org with the primary key. It fails only when plaintext is larger than
// the cipher takes.
func (k *Keyring) Seal(plaintext []byte, org, field string) ([]byte, error) {
	sealed, err := k.current.Load().aead.Encrypt(plaintext, associatedData(org, field))
	if err != nil {
		return nil, fmt.Errorf("seal %s of org %q: %w", field, org, err)
	}
	return sealed, nil
}

// Open decrypts what [Keyring.Seal] made for the same org and field, with whichever enabled key sealed it. It fails
// with a [WrongKeyError].
func (k *Keyring) Open(sealed []byte, org, field string) ([]byte, error) {
	r := k.current.Load()
	plain, err := r.aead.Decrypt(sealed, associatedData(org, field))
	if err != nil {
		id := sealedBy(sealed)
		return nil, &WrongKeyError{Org: org, Field: field, KeyID: id, Known: r.enabled(id)}
	}
	return plain, nil
}

func (r *ring) primary() uint32 {
	for _, k := range r.keys {
		if k.Primary {
			return k.ID
		}
	}
	return 0
}

func (r *ring) enabled(id uint32) bool {
	for _, k := range r.keys {
		if k.ID == id && k.Status == statusEnabled {
			return true
		}
	}
	return false
}

// sealedBy reads the key id out of Tink's output prefix: 0x01, then the id, big endian
// (https://developers.google.com/tink/wire-format). It returns 0 for what is no such ciphertext.
func sealedBy(sealed []byte) uint32 {
	if len(sealed) < 5 || sealed[0] != 0x01 {
		return 0
	}
	return binary.BigEndian.Uint32(sealed[1:5])
}

// associatedData encodes org and field so that no two pairs give the same bytes: each behind its length. The leading
// name keeps a later encoding from being mistaken for this one.
func associatedData(org, field string) []byte {
	b := []byte("sallyport/sealed/1")
	for _, s := range []string{org, field} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}
