package admin

import (
	"context"
	"time"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
)

// Registry holds the apps, orgs and clients; registry.Registry is one. Whatever follows a change of it (the broker's
// directory, say) is in force when Apply returns.
type Registry interface {
	Snapshot() *registry.Snapshot
	Apply(ctx context.Context, c registry.Change) (registry.Diff, error)
	AddClientSecret(ctx context.Context, name string) (secret.Text, error)
}

// Grants tells about grants and settles what became of them; tokens.Broker is one. A method whose ctx ends may go on in
// the background.
type Grants interface {
	Status(org tokens.OrgID) (tokens.Status, bool)
	Refresh(ctx context.Context, org tokens.OrgID) (tokens.Exchange, error)
	Settle(ctx context.Context, org tokens.OrgID) error
	Confirm(ctx context.Context, org tokens.OrgID, unverified bool) error
}

// Enroller begins grants; tokens.Broker is one.
type Enroller interface {
	Import(ctx context.Context, org tokens.OrgID, refresh secret.Text) (tokens.Enrolled, error)
	Authorize(ctx context.Context, org tokens.OrgID, code tokens.Credential) (tokens.Enrolled, error)
	// Seed enrols a resources file's token where nothing better is known, and reports whether it did.
	Seed(ctx context.Context, org tokens.OrgID, refresh secret.Text) (bool, error)
	// Ensure gives an org whose credential isn't single-use its record.
	Ensure(ctx context.Context, org tokens.OrgID) error
}

// Ender ends grants; tokens.Broker is one.
type Ender interface {
	Revoke(ctx context.Context, org tokens.OrgID) error
	Forget(ctx context.Context, org tokens.OrgID) error
}

// History lists past exchanges.
type History interface {
	// List returns the newest n exchanges after a time, of one org or, where org is empty, of all, oldest first.
	List(ctx context.Context, org tokens.OrgID, after time.Time, n int) ([]tokens.Exchange, error)
}

// CA is the interception CA.
type CA interface {
	// Export returns the roots that clients must trust as PEM, both while a rotation is under way.
	Export(ctx context.Context) ([]byte, error)
	// Rotate makes the next pair or, with activate, switches to it. It fails with a [ConflictError] where that can't
	// be done now.
	Rotate(ctx context.Context, activate bool) error
}

// ConflictError says that a command doesn't fit the present state. Its text is shown to the operator and says what to
// do. Nothing was changed.
type ConflictError struct{ What string }

// Error implements error.
func (e *ConflictError) Error() string { return e.What }
