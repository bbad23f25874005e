// Package secret holds what must not be seen: [Text], a secret that does not print; [Keyring], which seals and opens
// secrets for the store and the journal; and [Fingerprints], which name a token without showing it.
//
// No error, log value or formatted form that comes out of this package holds a secret or key material.
package secret

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"unique"
)

// Redacted is what every formatted, logged or encoded [Text] looks like, an empty one too.
const Redacted = "[redacted]"

// ErrRedacted says that the redacted form of a [Text] was about to be read back as if it were the secret. Reading the
// same input again does not help: the secret was lost where the input was written.
var ErrRedacted = errors.New("the value is " + Redacted + ", the printed form of a secret, not the secret itself")

// Text is a secret string that does not print: fmt with any verb, log/slog, encoding/json, encoding/gob and every
// encoder that honours encoding.TextMarshaler write [Redacted]. Only [Text.Reveal] gives the secret away.
//
// The zero Text is empty. Text is one word, cheap to copy, and safe for concurrent use. Two Texts of the same secret
// are equal by ==, so a Text may be a map key or part of a comparable struct; == compares two pointers, so that it
// tells nothing about the secret by its duration.
//
// The secret stands behind a pointer on purpose: fmt cannot call the methods of a value in an unexported field, and
// prints such a field by reflection. It then shows an address.
type Text struct {
	h unique.Handle[string]
}

// NewText returns s as a Text. It keeps a copy, so that a secret cut out of a large body doesn't keep the body alive.
func NewText(s string) Text {
	if s == "" {
		return Text{}
	}
	return Text{h: unique.Make(s)}
}

// Reveal returns the secret. It does not allocate.
func (t Text) Reveal() string {
	if t.IsZero() {
		return ""
	}
	return t.h.Value()
}

// IsZero reports whether t is empty. encoding/json's omitzero uses it.
func (t Text) IsZero() bool { return t == Text{} }

// Equal reports whether t and other hold the same secret, in a time that depends on their lengths only. Use it where
// one side comes from a caller.
func (t Text) Equal(other Text) bool {
	return subtle.ConstantTimeCompare([]byte(t.Reveal()), []byte(other.Reveal())) == 1
}

// String returns [Redacted].
func (Text) String() string { return Redacted }

// GoString returns [Redacted].
func (Text) GoString() string { return Redacted }

// Format writes [Redacted] for every verb, flag and width.
func (Text) Format(f fmt.State, _ rune) { io.WriteString(f, Redacted) }

// LogValue returns [Redacted].
func (Text) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText returns [Redacted]. A secret is written down sealed by a [Keyring], never by an encoder.
func (Text) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// MarshalJSON returns [Redacted] as a JSON string.
func (Text) MarshalJSON() ([]byte, error) { return []byte(`"` + Redacted + `"`), nil }

// GobEncode returns [Redacted]. Nothing decodes it.
func (Text) GobEncode() ([]byte, error) { return []byte(Redacted), nil }

// UnmarshalText reads a secret that a person or a client supplied (a JSON body, an environment variable, YAML). It
// refuses the printed form of a secret with [ErrRedacted], so that an exported document that is applied again cannot
// overwrite a secret with the word that hides it.
func (t *Text) UnmarshalText(b []byte) error {
	if string(b) == Redacted {
		return ErrRedacted
	}
	*t = NewText(string(b))
	return nil
}
