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
	// LockPerApp widens the lock of an exchange under way from one refresh token
	// to all of an app in an org. Default false.
	LockPerApp bool
	// IntrospectionDenied answers {"active":false} to every introspection, which
	// is how an app without that permission sees it. Default false.
	IntrospectionDenied bool
	// IntrospectExtendsSession makes the introspection of an opaque access token
	// restart its inactivity clock. Default false.
	IntrospectExtendsSession bool
}

// DefaultSwitches returns the reading that is documented or likelier.
func DefaultSwitches() Switches {
	return Switches{IntrospectRotatedIsReuse: true, ReplayKillsFamily: true}
}

// Switches returns the switches in force.
func (s *Sim) Switches() Switches { return *s.switches.Load() }

// SetSwitches replaces the switches for requests that are decided from now on.
func (s *Sim) SetSwitches(w Switches) { s.switches.Store(&w) }
