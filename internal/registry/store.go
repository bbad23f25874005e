package registry

import "context"

// Store keeps the registry's one document. It doesn't look inside: the document is sealed.
//
// Not promised: that a SaveRegistry that failed with another error than [ErrConflict] wrote nothing. The next one then
// meets ErrConflict, and the registry reads again.
type Store interface {
	// LoadRegistry returns the document and its version; nil and 0 when there is none yet.
	LoadRegistry(ctx context.Context) (doc []byte, version uint64, err error)
	// SaveRegistry replaces the document if its version is expect, else fails with [ErrConflict]. The new version is
	// expect + 1. It is durable when SaveRegistry returns.
	SaveRegistry(ctx context.Context, doc []byte, expect uint64) error
}

// Sealer seals and opens the document, bound to an org (here none) and a field.
type Sealer interface {
	Seal(plain []byte, org, field string) ([]byte, error)
	Open(sealed []byte, org, field string) ([]byte, error)
}

// sealedField is the field that the document is sealed as.
const sealedField = "registry"
