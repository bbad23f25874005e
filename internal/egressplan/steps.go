package egressplan

import (
	"fmt"
	"strings"
	"time"
)

// Propagation is how long to wait after the list was changed before anything relies on it. Salesforce publishes no
// figure for ranges; ten minutes is what it takes for an app's other security settings.
const Propagation = 10 * time.Minute

// Step is one step of a plan, to be done when the one before it is done and has gone well.
type Step struct {
	Do       string   `json:"do"`                 // one sentence
	Where    string   `json:"where"`              // "Salesforce", "sallyport", "network" or "nowhere"
	Notes    []string `json:"notes,omitempty"`    // what to write or to heed
	Commands []string `json:"commands,omitempty"` // to run, each must end with exit code 0

	// Registered is what Salesforce's list holds after the step, and Leaving what calls may leave by.
	Registered Set `json:"registered"`
	Leaving    Set `json:"leaving"`
}

// The places of a step.
const (
	atSalesforce = "Salesforce"
	atSallyport  = "sallyport"
	atNetwork    = "network"
	nowhere      = "nowhere"
)

// steps are the way from the present list to p.Register.
func steps(in Input, p Plan, early bool) []Step {
	b := &builder{in: in, plan: p, registered: in.Registered, leaving: in.InUse}
	if early {
		b.remove(p.Superfluous, "first, since there is no room for these and the new ranges")
	}
	add := p.Meanwhile.Minus(b.registered)
	if len(add) > 0 {
		b.add(add)
	}
	if len(in.Target) > 0 {
		b.move(in.Target.Minus(in.InUse))
	} else if len(add) > 0 {
		b.step(atSallyport, "Prove each source address by an echo, and that Salesforce is reached from it", nil, "sallyport egress probe")
	}
	if gone := b.registered.Minus(p.Register); len(gone) > 0 {
		b.remove(gone, "")
	}
	return b.steps
}

type builder struct {
	in                  Input
	plan                Plan
	registered, leaving Set
	steps               []Step
}

func (b *builder) step(where, do string, notes []string, commands ...string) {
	b.steps = append(b.steps, Step{do, where, notes, commands, b.registered, b.leaving})
}

// add registers ranges and waits.
func (b *builder) add(ranges Set) {
	b.registered = b.registered.Union(ranges)
	text := "sallyport egress plan --text"
	if len(b.in.Target) > 0 {
		text = "sallyport egress plan --to " + b.in.Target.String() + " --text"
	}
	b.step(atSalesforce, "Have each org's administrator add "+ranges.String()+" to the app's allowlist, and remove nothing", pairs(ranges), text)
	b.step(nowhere, fmt.Sprintf("Wait %d minutes, so that Salesforce knows the new ranges everywhere", int(Propagation.Minutes())), nil)
	b.step(atSallyport, "Tell sallyport what is registered now, and restart every replica",
		[]string{"SALLYPORT_EGRESS_ALLOWED=" + b.registered.String()}, "sallyport egress plan")
}

// move brings calls to the addresses of fresh.
func (b *builder) move(fresh Set) {
	b.leaving = b.in.InUse.Union(b.in.Target)
	if b.in.Bound {
		b.step(atSallyport, "Keep each org where it is: give it its present address in the resources file", b.pins(), "sallyport apply -f FILE")
		b.step(atNetwork, "Bring the new addresses to the machines, give them to sallyport beside the old ones, and restart every replica",
			[]string{"SALLYPORT_EGRESS_SOURCE_IPS=" + addresses(b.leaving)})
	} else {
		b.step(atNetwork, "Let the NAT, or whatever decides outside of sallyport, use the new addresses beside the old ones for new connections", nil)
	}
	var probes []string
	for a := range fresh.All() {
		probes = append(probes, "sallyport egress probe --address "+a.String())
	}
	if len(fresh) > 0 {
		b.step(atSallyport, "Prove each new address: an echo must see it, and Salesforce must be reached from it", nil, probes...)
		b.canary(fresh)
	}
	b.leaving = b.in.Target
	if b.in.Bound {
		b.step(atSallyport, "Move the rest: take the old addresses out of the resources file and out of sallyport, and restart every replica",
			[]string{"SALLYPORT_EGRESS_SOURCE_IPS=" + addresses(b.in.Target), "an org whose sessions are locked to an address gets a new access token at its first call"},
			"sallyport apply -f FILE", "sallyport egress probe")
	} else {
		b.step(atNetwork, "Take the old addresses from the NAT", nil, "sallyport egress probe")
	}
}

// canary has one org a new address exchange from it: an echo doesn't show what Salesforce lets in.
func (b *builder) canary(fresh Set) {
	org := "ORG"
	if len(b.in.Orgs) > 0 {
		org = b.in.Orgs[0].Org
	}
	notes := []string{"take an org that is easily authorised again: nobody has published whether a refused address spends the refresh token"}
	commands := []string{"sallyport grant refresh " + org, "sallyport egress watch " + org + " --since 1h"}
	if !b.in.Bound {
		notes = append(notes, "which of several addresses a NAT takes is seen afterwards only: repeat it until LoginHistory has shown each one")
	} else {
		var each []string
		for a := range fresh.All() {
			notes = append(notes, "in the resources file: org "+org+", egress: "+a.String())
			each = append(each, "sallyport apply -f FILE", commands[0])
		}
		commands = append(each, commands[1])
	}
	b.step(atSallyport, "Try each new address with one org as the canary: exchange its refresh token from there", notes, commands...)
}

// remove takes ranges off the list once nobody has come from them for a while. It waits for two days, so that a look
// back over one and a half doesn't meet what was in order when it happened.
func (b *builder) remove(ranges Set, why string) {
	keep := b.registered.Minus(ranges)
	do := "Two days after their last use, make sure that nothing leaves by " + ranges.String() + " any more"
	if why != "" {
		do += " (" + why + ")"
	}
	b.step(atSallyport, do, []string{"SALLYPORT_EGRESS_ALLOWED=" + keep.String() + ", then restart every replica: a login from a removed address is a stranger from now on",
		"other replicas and other programs may use the app too: what this one doesn't use, they may"}, "sallyport egress watch --since 36h")
	b.registered = keep
	b.step(atSalesforce, "Have each org's administrator remove "+ranges.String()+" from the app's allowlist", pairs(ranges))
}

// pins are the lines that keep orgs on their addresses.
func (b *builder) pins() []string {
	var all []string
	for _, o := range b.in.Orgs {
		if o.Source != "" {
			all = append(all, "org "+o.Org+", egress: "+o.Source)
		}
	}
	return all
}

// pairs are ranges as Setup asks for them.
func pairs(s Set) []string {
	var all []string
	for _, r := range s {
		all = append(all, "start "+r.From.String()+", end "+r.To.String())
	}
	return all
}

func addresses(s Set) string {
	var all []string
	for a := range s.All() {
		all = append(all, a.String())
	}
	return strings.Join(all, ",")
}

// inParts says how to move where old and new addresses don't fit at once.
func inParts(in Input, during Fit) string {
	room := MaxAddresses - min(MaxAddresses, int(in.InUse.Count().Int64()))
	if in.InUse.Count().IsInt64() && room > 0 && during.AddressesOver.Sign() > 0 {
		return fmt.Sprintf("the addresses in use and the new ones together are %v more than Salesforce takes: move in parts of at most %d addresses, each part with all steps", during.AddressesOver, room)
	}
	return during.Advice + "; the old addresses and the new ones must fit together until the move is over, so give some of the old ones up first"
}
