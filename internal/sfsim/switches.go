package sfsim

// Switches chooses among behaviours of Salesforce that are disputed or could
// not be verified. [DefaultSwitches] returns the likelier reading of each; a
// correct client is right under every combination.
type Switches struct {
	// OldAccessDiesOnRefresh ends the grant's older access tokens at each
	// exchange. Nothing official says that it happens. Default false.
	OldAccessDiesOnRefresh bool
	// IntrospectRotatedIsReuse treats the introspection of a rotated-out refresh
	// token as its replay. Default true, the harsher reading.
	IntrospectRotatedIsReuse bool
	// RevokeTakesAllGrantsOfUser makes a revocation of a refresh token end every
	// grant that its user gave the app. Default false.
	RevokeTakesAllGrantsOfUser bool
	// IPRestrictedSpends rotates the presented token although the answer is "ip
	// restricted", so that nobody gets the new one. Default false.
	IPRestrictedSpends bool
	// InvalidClientSpends does the same behind "invalid_client". Default false.
	InvalidClientSpends bool
	// ReplayKillsFamily ends the grant and its access tokens when a rotated-out
	// token is presented. Default true, as documented; false is what one
	// production timeline showed.
	ReplayKillsFamily bool
	// LoserKillsFamily ends the grant when two exchanges of one token overlap, as
	// a test of Salesforce's own CLI claims. Default false.
	LoserKillsFamily bool
	// OldLockWording words the refusal of an exchange while another is under way
	// as it was until 2024, "expired authorization code". Default false.
	OldLockWording bool
	// AddressRefusal words the refusal of an address by the allowlist for refresh
	// tokens, whose true text nobody published. Empty: "ip restricted".
	AddressRefusal string
	// LockPerApp widens the lock of an exchange under way from one refresh token
	// to all of an app in an org. Default false.
	LockPerApp bool
	// IntrospectionDenied answers {"active":false} to every introspection, which
	// is how an app without that permission sees it. Default false.
	IntrospectionDenied bool
	// IntrospectExtendsSession makes the introspection of an opaque access token
	// restart its inactivity clock. Default false.
	IntrospectExtendsSession bool
	// AudienceMyDomain accepts the org's My Domain as the audience of a JWT
	// bearer assertion. Default false.
	AudienceMyDomain bool
	// AudienceValidationFailed words the refusal of an audience as the
	// documentation does; field reports have "audience is invalid". Default false.
	AudienceValidationFailed bool
	// AssertionOnce refuses an assertion that was presented before. Nothing says
	// that Salesforce does. Default false; the ledger tells repeated ones anyway.
	AssertionOnce bool
	// ExchangeGrantsRefresh makes a token exchange an approval with a refresh
	// token of its own. Default false.
	ExchangeGrantsRefresh bool
	// HybridKeepsRefreshToken makes hybrid_refresh leave the refresh token as it
	// is although the app rotates. Default false.
	HybridKeepsRefreshToken bool
	// FormerPairSurvivesRotate keeps the former consumer key and secret good after
	// the staged pair was rotated in: they take the slot, in state "rotated", until
	// it is deleted or 30 days are over. Default false, the harsher reading: they
	// die at once and the slot shows the new pair.
	FormerPairSurvivesRotate bool
	// RotateRevokesTokens ends all grants and access tokens of an app whose pair
	// is rotated, as is documented for connected apps. Default false.
	RotateRevokesTokens bool
	// GrantsBoundToKey makes a refresh token good only with the consumer key that
	// it was issued under. Default false: any of the app's keys.
	GrantsBoundToKey bool
	// FetchOver100Refused refuses a Pub/Sub fetch request for more than 100 events
	// instead of serving 100. Default false.
	FetchOver100Refused bool
	// RefusalAfterHeaders sends a Pub/Sub refusal as response headers and then
	// trailers instead of trailers only. Default false.
	RefusalAfterHeaders bool
	// StreamDiesWithToken ends a running Pub/Sub stream at the first message after
	// its access token's end. Default false, as documented.
	StreamDiesWithToken bool
}

// DefaultSwitches returns the reading that is documented or likelier.
func DefaultSwitches() Switches {
	return Switches{IntrospectRotatedIsReuse: true, ReplayKillsFamily: true}
}

func (w Switches) beingProcessed() string {
	if w.OldLockWording {
		return "expired authorization code"
	}
	return beingProcessed
}

func (w Switches) addressRefusal() string {
	if w.AddressRefusal == "" {
		return ipRestricted
	}
	return w.AddressRefusal
}

// Switches returns the switches in force.
func (s *Sim) Switches() Switches { return *s.switches.Load() }

// SetSwitches replaces the switches for requests that are decided from now on.
func (s *Sim) SetSwitches(w Switches) { s.switches.Store(&w) }
