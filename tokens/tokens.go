// Package tokens is the domain of sallyport: orgs, their grants, the state
// machine of a grant, and the [Broker] that hands out access tokens and
// exchanges refresh tokens, each of which Salesforce accepts only once.
//
// The package knows no transport and no database. What it needs of them is
// declared in ports.go and implemented by the packages below this one.
package tokens

import (
	"cmp"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
)

// OrgID is the key of an org: one authorisation of one app in one Salesforce
// org. It is the org's name at its first apply and never changes; a rename
// changes the label only.
type OrgID string

// AttemptID names one attempt to exchange, chosen at random.
type AttemptID string

// StoreIdentity names one unbroken life of a store. A store that may have lost
// writes (a failover, a restored dump, a restart of the embedded one) has
// another identity afterwards.
type StoreIdentity string

// Place orders the answers of an org: by authorisation, then by answer.
type Place struct {
	// Epoch is raised by each authorisation, import and revocation: its moment
	// in milliseconds, or one more than the greatest known, whichever is more.
	Epoch int64 `json:"epoch"`
	// Generation is raised by each committed answer and starts at 1.
	Generation int64 `json:"generation"`
}

// Compare orders places by (epoch, generation), as [cmp.Compare] does.
func (p Place) Compare(q Place) int {
	return cmp.Or(cmp.Compare(p.Epoch, q.Epoch), cmp.Compare(p.Generation, q.Generation))
}

// IsZero reports whether p is the place before any authorisation.
func (p Place) IsZero() bool { return p == Place{} }

// Token is a live access token and what a caller needs to use it.
type Token struct {
	// Place says which answer brought the token. [Broker.Replace] and
	// [Broker.Used] compare it.
	Place Place
	// Access is the bearer token.
	Access secret.Text
	// InstanceURL is where Salesforce wants the org's API calls to go.
	InstanceURL string
	// IssuedAt is when Salesforce says that it issued the token.
	IssuedAt time.Time
	// Address is the local address that minted the token, empty if unknown.
	Address string
	// OrgID and UserID are Salesforce's own, of 18 characters; empty until it
	// told them.
	OrgID, UserID string
}

// Credential is what is traded for an access token. It is opaque to all but
// the [Exchanger] that sends it.
type Credential struct {
	// Kind is the grant's kind: "refresh_token", "client_credentials",
	// "authorization_code".
	Kind string
	// SingleUse says that trading the credential destroys it, so that losing
	// the answer loses the org.
	SingleUse bool
	// Secret is the refresh token, or for an authorization code the code and
	// its verifier, in the exchanger's own encoding. Empty where the app's own
	// credentials are the grant.
	Secret secret.Text
}

// Answer is what Salesforce's token endpoint sent, byte for byte as it came
// from the connection: status line, headers and body, perhaps cut short. It
// holds secrets until it is sealed.
type Answer []byte

// Issue is what a successful answer brought.
type Issue struct {
	Access      secret.Text
	Refresh     secret.Text // empty: the org doesn't rotate, or a grant without one
	InstanceURL string
	OrgID       string    // Salesforce's 18-character org id
	UserID      string    // Salesforce's 18-character user id
	IssuedAt    time.Time // zero if the answer didn't say
	ExpiresAt   time.Time // the exp of a JWT token; zero for an opaque one
}

// Subject is what an introspection asks about.
type Subject struct {
	Token   secret.Text
	Refresh bool // a refresh token; else an access token
}

// Liveness is what an introspection said.
type Liveness struct {
	Active    bool
	ExpiresAt time.Time // zero if it didn't say
	OrgID     string    // from sub, empty if it didn't say
	UserID    string
}

// Settings is what the registry says about an org.
type Settings struct {
	// Name is the org's label, for messages.
	Name string
	// Kind is the grant's kind as [Credential.Kind] has it.
	Kind string
	// SingleUse says whether the grant's credential is spent by its use.
	SingleUse bool
	// SessionTimeout is the org's session policy, an inactivity clock. Zero:
	// unknown, introspection tells.
	SessionTimeout time.Duration
	// Disabled says that nobody may use the org now. Its grant is kept.
	Disabled bool
	// Address is the local address that the org leaves by, empty for the
	// kernel's choice.
	Address string
	// Pinned says that the org leaves by Address wherever it is served: no other
	// replica would have a session moved back.
	Pinned bool
	// ClientID is the app's client id. With Salesforce's own ids of org and
	// user it names the grant.
	ClientID string
}
