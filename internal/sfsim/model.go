package sfsim

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// IPRange is an inclusive range of addresses, as Salesforce's allowlists have it.
type IPRange struct{ From, To netip.Addr }

// Contains reports whether a lies in the range.
func (r IPRange) Contains(a netip.Addr) bool {
	a = a.Unmap()
	return a.BitLen() == r.From.BitLen() && r.From.Compare(a) <= 0 && a.Compare(r.To) <= 0
}

// RefreshPolicy is an app's policy on the life of refresh tokens.
type RefreshPolicy int

// The policies.
const (
	PolicyIdle     RefreshPolicy = iota // ends after App.IdleTTL without use
	PolicyLifetime                      // also ends App.RefreshLifetime after the authorisation
	PolicyZero                          // ends at once
)

// App is a connected app or external client app. Its key is known to every org.
type App struct {
	ClientID     string
	ClientSecret string   // empty: a public client, which must not send a secret
	Scopes       []string // default api, refresh_token, id
	RedirectURIs []string // compared exactly

	RTR                      bool      // refresh-token rotation
	PKCE                     bool      // the code flow needs a challenge
	SecretRequiredForRefresh bool      // a secret that is sent is checked in any case
	Allowlist                []IPRange // who may exchange codes and refresh tokens; empty: anybody

	IdleTTL         time.Duration // zero: 30 days; negative: no limit
	RefreshPolicy   RefreshPolicy
	RefreshLifetime time.Duration // for PolicyLifetime

	IntrospectAll bool          // may introspect other apps' tokens
	JWT           bool          // access tokens are JWTs with an absolute end
	JWTLifetime   time.Duration // zero: 30 minutes
	RunAs         string        // username for client_credentials; empty: not enabled

	// Certificate is a PEM certificate or RSA public key of at most 4 KB. It
	// enables the JWT bearer grant and client_assertion.
	Certificate []byte
	// PreAuthorized lists the usernames that an admin approved, "*" for all. Nil
	// lets users approve the app themselves, which JWT bearer then needs.
	PreAuthorized []string
	// Exchange is the app's token exchange handler: it returns the username that
	// a subject token stands for. It is called under the simulator's lock. Nil:
	// token exchange isn't enabled.
	Exchange func(ExchangeRequest) (username string, err error)

	key *rsa.PublicKey // of Certificate
}

const defaultIdleTTL = 30 * 24 * time.Hour

func (a *App) complete() error {
	if a.ClientID == "" {
		return errors.New("sfsim: an app needs a ClientID")
	}
	if len(a.Scopes) == 0 {
		a.Scopes = []string{"api", "refresh_token", "id"}
	}
	if a.IdleTTL == 0 {
		a.IdleTTL = defaultIdleTTL
	}
	if a.JWTLifetime == 0 {
		a.JWTLifetime = 30 * time.Minute
	}
	if a.JWTLifetime < 0 || a.RefreshPolicy == PolicyLifetime && a.RefreshLifetime <= 0 {
		return fmt.Errorf("sfsim: app %s: lifetimes must be positive", a.ClientID)
	}
	a.key = nil
	if len(a.Certificate) > 0 {
		key, err := readCertificate(a.Certificate)
		if err != nil {
			return err
		}
		a.key = key
	}
	return checkAllowlist(a.Allowlist)
}

// checkAllowlist keeps Salesforce's limits: 128 ranges, 256 addresses in total.
func checkAllowlist(ranges []IPRange) error {
	total := 0
	for _, r := range ranges {
		if !r.From.IsValid() || r.From.BitLen() != r.To.BitLen() || r.To.Less(r.From) {
			return fmt.Errorf("sfsim: %v-%v is not a range of addresses", r.From, r.To)
		}
		for a := r.From; a.Compare(r.To) <= 0 && total <= 256; a = a.Next() {
			total++
		}
	}
	if len(ranges) > 128 || total > 256 {
		return errors.New("sfsim: an allowlist holds at most 128 ranges and 256 addresses")
	}
	return nil
}

// Org is one Salesforce org.
type Org struct {
	Host             string        // My Domain, such as acme.my.salesforce.com
	Aliases          []string      // further hosts that serve this org
	ID               string        // 15 or 18 characters; empty: made up
	Sandbox          bool          // identity URLs at test.salesforce.com
	SessionTimeout   time.Duration // of inactivity; zero: Options.SessionTimeout
	LockSessionsToIP bool          // a token is good only from the address that minted it
	MyDomainOnly     bool          // login hosts issue no tokens for this org
	LoginsPerHour    int           // of one user, beyond which "login rate exceeded"; zero: no limit
	SecretsInREST    bool          // Setup allows access to consumer secrets via REST
	Users            []User        // empty: one is made up
}

// User is a user of an org.
type User struct {
	ID       string // empty: made up
	Username string

	LoginIPs     []IPRange // the profile's login IP ranges; empty: any
	AppDeveloper bool      // may use the credentials and usage resources of apps
}

// Grant is what an authorisation hands out.
type Grant struct {
	ID           int    // names the grant in the ledger
	RefreshToken string // empty without the refresh_token scope
	AccessToken  string
	OrgID        string
	UserID       string
	InstanceURL  string
	IdentityURL  string
}

// app, org, user, grant and refresh are guarded by Sim.mu except where a field
// is atomic or never changes.

type app struct {
	App
	id       string // 0xI…
	consumer string // 888…
	slot     *staged
}

func (ap *app) allowed(ip netip.Addr) bool {
	return len(ap.Allowlist) == 0 || slices.ContainsFunc(ap.Allowlist, func(r IPRange) bool { return r.Contains(ip) })
}

type org struct {
	Org      // ID, Host, Aliases, Sandbox: never change
	users    []*user
	instance string
	timeout  atomic.Int64 // nanoseconds of inactivity
	lifetime atomic.Int64 // nanoseconds from the issue on; zero: no limit
	lockIP   atomic.Bool
	calls    atomic.Int64 // API calls answered, for Sforce-Limit-Info
	records  atomic.Int64 // records created
}

type user struct {
	User
	identity string
	frozen   bool
	logins   []time.Time // of the last hour, if the org limits them
}

func (o *org) user(name string) *user {
	for _, u := range o.users {
		if name == "" || strings.EqualFold(u.Username, name) || u.ID == name {
			return u
		}
	}
	return nil
}

type grant struct {
	id        int
	app       *app
	org       *org
	user      *user
	scope     string
	created   time.Time
	used      time.Time  // last exchange
	chain     []*refresh // oldest first, the last is the current one
	accesses  []*access  // alive when last looked at
	exchanges int
	dead      string // why it ended; empty while it lives
	key       string // consumer key under which it was given
}

// keep adds an access token and forgets those that died.
func (g *grant) keep(a *access) {
	g.accesses = append(slices.DeleteFunc(g.accesses, func(b *access) bool { return b.dead.Load() }), a)
}

// left returns how much life, without use, the grant's access tokens have left.
func (g *grant) left(now time.Time) time.Duration {
	var most time.Duration
	for _, a := range g.accesses {
		if a.alive(now) {
			most = max(most, a.end().Sub(now))
		}
	}
	return most
}

func (g *grant) current() *refresh {
	if len(g.chain) == 0 {
		return nil
	}
	return g.chain[len(g.chain)-1]
}

type refresh struct {
	token   string
	grant   *grant
	index   int
	rotated bool
	given   bool // its answer was written in full
}

type code struct {
	grantee   *user
	app       *app
	org       *org
	scope     string
	redirect  string
	challenge string
	made      time.Time
	used      bool
}
