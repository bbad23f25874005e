package secret

import (
	"errors"
	"fmt"
)

// Kinds of fault in a keyset file. A [KeysetError] matches exactly one of them by errors.Is.
var (
	// ErrKeysetMalformed says that the keyset isn't Tink's JSON, or lacks what a keyset needs.
	ErrKeysetMalformed = errors.New("malformed keyset")
	// ErrKeysetEmpty says that there is no keyset, or no key in it.
	ErrKeysetEmpty = errors.New("empty keyset")
	// ErrKeysetType says that a key of the keyset is not AES256-GCM.
	ErrKeysetType = errors.New("wrong key type in keyset")
	// ErrNothingToPromote says that the newest enabled key is the primary one already.
	ErrNothingToPromote = errors.New("nothing to promote")
	// ErrKeysetDropsKey says that a keyset lacks the key that seals now, so that sealed values would be lost.
	ErrKeysetDropsKey = errors.New("keyset drops the primary key in use")
)

// ErrWrongKey is matched by every [WrongKeyError].
var ErrWrongKey = errors.New("the keyset does not open a sealed value")

// KeysetError says what is wrong with a keyset and how to mend it. It never quotes the keyset. The same keyset fails
// again.
type KeysetError struct {
	Kind   error  // One of the ErrKeyset… sentinels or ErrNothingToPromote.
	Detail string // What was found.
	Hint   string // What to do next.
}

// Error implements error.
func (e *KeysetError) Error() string { return fmt.Sprintf("%v: %s; %s", e.Kind, e.Detail, e.Hint) }

// Unwrap returns the kind.
func (e *KeysetError) Unwrap() error { return e.Kind }

// WrongKeyError says that the keyset does not open the value that was sealed for Org and Field: another keyset sealed
// it, its key is gone, or the value was altered or moved here from another org or field. Nothing was changed. Trying
// again helps only once the keyset that sealed the value is back.
type WrongKeyError struct {
	Org, Field string
	KeyID      uint32 // The key that the value names; 0 if it is too short to name one.
	Known      bool   // Whether the keyset has that key, enabled.
}

// Error implements error.
func (e *WrongKeyError) Error() string {
	switch {
	case e.KeyID == 0:
		return fmt.Sprintf("%v: %s of org %q is not a sealed value: it was truncated or written by something else",
			ErrWrongKey, e.Field, e.Org)
	case !e.Known:
		return fmt.Sprintf("%v: %s of org %q is sealed by key %d, which the keyset lacks or has disabled: "+
			"bring back the keyset that has it (sallyport keyset list shows the ids)", ErrWrongKey, e.Field, e.Org, e.KeyID)
	default:
		return fmt.Sprintf("%v: %s of org %q names key %d but does not open with it: the value was altered, "+
			"or belongs to another org or field, or another keyset reuses that key id", ErrWrongKey, e.Field, e.Org, e.KeyID)
	}
}

// Unwrap returns [ErrWrongKey].
func (e *WrongKeyError) Unwrap() error { return ErrWrongKey }
