package tokenstest

import (
	"slices"
	"time"

	"github.com/sallyport/sallyport/tokens"
)

// Fate is what became of a refresh token at Salesforce, and by what.
type Fate uint8

// The fates of a refresh token.
const (
	FateLive     Fate = iota // it can be exchanged
	FateAnswered             // exchanged, and its successor was sent whole
	FateUnheard              // exchanged, and the answer was lost on its way
	FateCut                  // exchanged, and the answer was cut or malformed
	FateUnclear              // exchanged, and a 5xx was the answer
	FateConfig               // spent by a refusal as configuration
	FateForeign              // exchanged by somebody else
	FateExpired              // ended by Salesforce
	FateQuestion             // ended since an introspection counted as reuse
	FateReplay               // ended since a spent token was sent again
	FateRevoked              // ended by a person
)

var fateNames = [...]string{"live", "answered", "answer lost", "answer cut", "5xx after rotation", "spent by a refusal", "spent by somebody else",
	"ended by Salesforce", "the question counted as reuse", "replayed", "revoked"}

// String returns the words for f.
func (f Fate) String() string { return fateNames[f] }

// fates says what becomes of a token that is spent under a fault.
var fates = [FaultLate + 1]Fate{
	FaultNone: FateAnswered, FaultSlow: FateAnswered, FaultNoRotation: FateAnswered, FaultLostAfter: FateUnheard, FaultLate: FateUnheard, FaultTruncated: FateCut,
	FaultMalformed: FateCut, FaultUnclear: FateUnclear, FaultClient: FateConfig, FaultClientSpent: FateConfig, FaultAddress: FateConfig,
}

// Fate is what became of a refresh token. An unknown one was revoked.
func (f *Force) Fate(refresh string) Fate {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.refresh[refresh]
	switch {
	case t == nil:
		return FateRevoked
	case !t.spent && !t.dead:
		return FateLive
	}
	return t.why
}

// Minted lists the refresh tokens of org that Salesforce ever made, oldest
// first.
func (f *Force) Minted(org tokens.OrgID) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.minted), func(m string) bool { return f.refresh[m].org != org })
}

// Lives reports whether Salesforce would accept an access token now. Unlike a
// call it changes nothing.
func (f *Force) Lives(access string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.access[access].live()
}

// Misuse lists what no client may do: a token sent again of which Salesforce
// hadn't said since that it is live.
func (f *Force) Misuse() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.misuse)
}

// Vouch is a person's word that the refresh tokens of org were not used.
func (f *Force) Vouch(org tokens.OrgID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.refresh {
		if t.org == org {
			t.vouched = true
		}
	}
}

// Heir is the newest refresh token of the authorisation that refresh comes of.
func (f *Force) Heir(refresh string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.refresh[refresh]
	for _, m := range slices.Backward(f.minted) {
		if t != nil && f.refresh[m].family == t.family {
			return m
		}
	}
	return refresh
}

// Before is the refresh token whose exchange brought refresh, empty for the
// first of an authorisation.
func (f *Force) Before(refresh string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := ""
	for _, m := range f.minted {
		if m == refresh {
			break
		}
		if t := f.refresh[refresh]; t != nil && f.refresh[m].family == t.family {
			before = m
		}
	}
	return before
}

// Telling is how introspections are answered now.
func (f *Force) Telling() Introspection {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.how
}

// Forget takes the faults back that no request has met yet.
func (f *Force) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
}

// SpentAt is when a refresh token was exchanged, zero if it wasn't.
func (f *Force) SpentAt(refresh string) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.refresh[refresh]; t != nil {
		return t.at
	}
	return time.Time{}
}

// Left is how long an access token lives unless it is used or ended.
func (f *Force) Left(access string) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.access[access]; t.live() {
		return time.Until(t.until)
	}
	return 0
}
