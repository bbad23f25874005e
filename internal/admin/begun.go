package admin

import (
	"crypto/rand"
	"crypto/subtle"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/salesforce"
)

// How many authorisations may be under way, and how long: Salesforce's codes live about as long.
const (
	maxBegun  = 128
	begunLife = 15 * time.Minute
)

// begun is an authorisation that waits for its redirect.
type begun struct {
	org         tokens.OrgID
	state       string
	verifier    secret.Text
	redirectURI string
	until       time.Time
}

// authorizations are those that were begun in this process and not completed. The zero value has none.
type authorizations struct {
	mu   sync.Mutex
	list []begun // guarded by mu, oldest first
}

// begin makes a state and a verifier. Where too many are under way the oldest is forgotten.
func (a *authorizations) begin(org tokens.OrgID, redirectURI string, now time.Time) begun {
	b := begun{org: org, state: rand.Text(), verifier: secret.NewText(salesforce.NewVerifier()), redirectURI: redirectURI, until: now.Add(begunLife)}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expire(now)
	if n := len(a.list); n >= maxBegun {
		a.list = slices.Delete(a.list, 0, n-maxBegun+1)
	}
	a.list = append(a.list, b)
	return b
}

// take returns the authorisation of org with that state, for the only time. Every state is compared, in constant time.
func (a *authorizations) take(org tokens.OrgID, state string, now time.Time) (begun, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expire(now)
	found := -1
	for i, b := range a.list {
		if subtle.ConstantTimeCompare([]byte(b.state), []byte(state)) == 1 && b.org == org {
			found = i
		}
	}
	if found < 0 {
		return begun{}, false
	}
	b := a.list[found]
	a.list = slices.Delete(a.list, found, found+1)
	return b, true
}

// expire forgets what is too old. The caller holds mu.
func (a *authorizations) expire(now time.Time) {
	a.list = slices.DeleteFunc(a.list, func(b begun) bool { return !now.Before(b.until) })
}
