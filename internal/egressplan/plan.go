package egressplan

// Placement is an org and the source address that its calls leave by.
type Placement struct {
	Org    string
	Source string // as the resources file's egress takes it; empty: the kernel's choice
}

// Input is what a plan is made from.
type Input struct {
	// InUse are the public addresses that calls leave by now, Registered those that Salesforce was told of.
	InUse, Registered Set
	// Target are the addresses to move to; empty: no move, the present ones are to be registered.
	Target Set
	// Bound says that sallyport itself binds connections to the public addresses, so that an org can be kept on one.
	// Otherwise something outside, a NAT for instance, decides.
	Bound bool
	// Orgs are those that the steps may name.
	Orgs []Placement
}

// Plan says what is registered wrongly, what to register, and how to get there.
type Plan struct {
	InUse       Set `json:"inUse"`
	Registered  Set `json:"registered"`
	Target      Set `json:"target,omitempty"`
	Missing     Set `json:"missing"`     // in use and not registered: exchanges from there fail where the allowlist is enforced
	Superfluous Set `json:"superfluous"` // registered and neither in use nor moved to
	// Register is what Salesforce's list should hold in the end, as the fewest start-end pairs, and Meanwhile what it
	// must hold until the last step.
	Register  Set    `json:"register"`
	Meanwhile Set    `json:"meanwhile"`
	Fit       Fit    `json:"fit"`          // of Register
	During    Fit    `json:"fitMeanwhile"` // of Meanwhile
	Steps     []Step `json:"steps"`        // none where nothing is to be done, or can be
}

// Make compares and plans. Addresses are added before others are removed, except for superfluous ones where Salesforce's
// limits leave no room for both.
func Make(in Input) Plan {
	p := Plan{InUse: in.InUse, Registered: in.Registered, Target: in.Target, Missing: in.InUse.Minus(in.Registered)}
	p.Register = in.InUse
	if len(in.Target) > 0 {
		p.Register = in.Target
	}
	p.Superfluous = in.Registered.Minus(in.InUse).Minus(in.Target)
	needed := in.InUse.Union(in.Target)
	p.Meanwhile = needed.Union(in.Registered)
	early := len(p.Superfluous) > 0 && !Measure(p.Meanwhile).OK()
	if early {
		p.Meanwhile = needed
	}
	p.Fit, p.During = Measure(p.Register), Measure(p.Meanwhile)
	if p.Fit.OK() && !p.During.OK() {
		p.During.Advice = inParts(in, p.During)
	}
	if p.Fit.OK() && p.During.OK() {
		p.Steps = steps(in, p, early)
	}
	return p
}

// OK reports whether Salesforce takes the list, in the end and on the way.
func (p Plan) OK() bool { return p.Fit.OK() && p.During.OK() }
