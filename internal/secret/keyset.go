package secret

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

// KeyInfo describes one key of a keyset without its material.
type KeyInfo struct {
	ID      uint32
	Primary bool   // Seals new values.
	Status  string // ENABLED, DISABLED or DESTROYED.
	Type    string // AES256-GCM.
}

const (
	keyType  = "AES256-GCM"
	keyBytes = 32
	hintNew  = "for a new deployment make one with `sallyport keyset new`"
)

// NewKeyset returns a new keyset with one AES256-GCM key, as Tink's JSON in clear: whoever reads it can open
// everything that it seals.
func NewKeyset() ([]byte, error) {
	h, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("make a keyset: %w", err)
	}
	return encodeKeyset(h)
}

// Rotate returns the keyset with a further key that is not primary yet, and that key's id. What older keys sealed
// still opens. Give the result to every replica before [Promote]: a replica without the new key could not open what
// it seals. It fails with a [KeysetError] when the keyset doesn't parse.
func Rotate(keysetJSON []byte) (rotated []byte, newKeyID uint32, err error) {
	h, err := decodeKeyset(keysetJSON)
	if err != nil {
		return nil, 0, err
	}
	m := keyset.NewManagerFromHandle(h)
	id, err := m.Add(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, 0, fmt.Errorf("add a key to the keyset: %w", err)
	}
	rotated, err = encodeManager(m)
	return rotated, id, err
}

// Promote returns the keyset with its newest enabled key made primary. It fails with a [KeysetError], of kind
// [ErrNothingToPromote] when that key is primary already.
func Promote(keysetJSON []byte) ([]byte, error) {
	h, err := decodeKeyset(keysetJSON)
	if err != nil {
		return nil, err
	}
	infos := describe(h)
	newest := -1 // Tink appends, and its JSON keeps the order.
	for i, k := range infos {
		if k.Status == statusEnabled {
			newest = i
		}
	}
	if infos[newest].Primary {
		return nil, &KeysetError{
			Kind:   ErrNothingToPromote,
			Detail: fmt.Sprintf("the newest key, %d, is the primary one already", infos[newest].ID),
			Hint:   "add a key first with `sallyport keyset rotate`",
		}
	}
	m := keyset.NewManagerFromHandle(h)
	if err := m.SetPrimary(infos[newest].ID); err != nil {
		return nil, fmt.Errorf("promote key %d: %w", infos[newest].ID, err)
	}
	return encodeManager(m)
}

// List describes the keys of a keyset, oldest first. It fails with a [KeysetError].
func List(keysetJSON []byte) ([]KeyInfo, error) {
	h, err := decodeKeyset(keysetJSON)
	if err != nil {
		return nil, err
	}
	return describe(h), nil
}

const statusEnabled = "ENABLED"

// describe lists h's keys. h came from decodeKeyset, so that it has a primary enabled key and only AES256-GCM ones.
func describe(h *keyset.Handle) []KeyInfo {
	primary := h.KeysetInfo().GetPrimaryKeyId()
	var out []KeyInfo
	for _, k := range h.KeysetInfo().GetKeyInfo() {
		out = append(out, KeyInfo{ID: k.GetKeyId(), Primary: k.GetKeyId() == primary, Status: k.GetStatus().String(), Type: keyType})
	}
	return out
}

// decodeKeyset parses and checks a cleartext keyset. The parsers' own errors quote the input, which may be key
// material cut at an unlucky place: they are replaced, not wrapped.
func decodeKeyset(b []byte) (*keyset.Handle, error) {
	if len(bytes.TrimSpace(b)) == 0 {
		return nil, &KeysetError{ErrKeysetEmpty, "there is nothing in it", hintNew}
	}
	var shape struct {
		Key             []json.RawMessage `json:"key"`
		EncryptedKeyset json.RawMessage   `json:"encryptedKeyset"`
	}
	if err := json.Unmarshal(b, &shape); err != nil {
		detail := "it is not a keyset's JSON object"
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			detail = fmt.Sprintf("it is not JSON (fault at byte %d of %d)", syntax.Offset, len(b))
		}
		return nil, &KeysetError{ErrKeysetMalformed, detail, "restore the file; " + hintNew}
	}
	if len(shape.EncryptedKeyset) > 0 {
		return nil, &KeysetError{ErrKeysetMalformed, "it is an encrypted Tink keyset", "give it in clear"}
	}
	if len(shape.Key) == 0 {
		return nil, &KeysetError{ErrKeysetEmpty, "it has no key", hintNew}
	}
	h, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(b)))
	if err != nil {
		return nil, &KeysetError{ErrKeysetMalformed, "it is JSON, but not a Tink keyset with a primary enabled key and known key types",
			"restore the file; " + hintNew}
	}
	return h, checkKeys(h)
}

func checkKeys(h *keyset.Handle) error {
	seen := make(map[uint32]bool)
	for i := range h.Len() {
		e, err := h.Entry(i)
		if err != nil {
			return &KeysetError{ErrKeysetMalformed, fmt.Sprintf("its key number %d cannot be read", i+1), "restore the file"}
		}
		p, ok := e.Key().Parameters().(*aesgcm.Parameters)
		if !ok || p.KeySizeInBytes() != keyBytes || p.Variant() != aesgcm.VariantTink {
			return &KeysetError{ErrKeysetType, fmt.Sprintf("key %d is not %s with a Tink prefix", e.KeyID(), keyType), hintNew}
		}
		if seen[e.KeyID()] {
			return &KeysetError{ErrKeysetMalformed, fmt.Sprintf("two keys have the id %d", e.KeyID()), "restore the file"}
		}
		seen[e.KeyID()] = true
	}
	return nil
}

func encodeManager(m *keyset.Manager) ([]byte, error) {
	h, err := m.Handle()
	if err != nil {
		return nil, fmt.Errorf("build the keyset: %w", err)
	}
	return encodeKeyset(h)
}

func encodeKeyset(h *keyset.Handle) ([]byte, error) {
	var raw, out bytes.Buffer
	if err := insecurecleartextkeyset.Write(h, keyset.NewJSONWriter(&raw)); err != nil {
		return nil, fmt.Errorf("write the keyset: %w", err)
	}
	// Tink's writer varies its white space on purpose; a file that people keep should not change by itself.
	if err := json.Indent(&out, raw.Bytes(), "", "  "); err != nil {
		return nil, fmt.Errorf("write the keyset: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}
