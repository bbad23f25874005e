package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/egressplan"
)

// othersWithin is how long an address that another replica used counts as in
// use.
const othersWithin = 24 * time.Hour

type egressPlanCmd struct {
	Orgs       []string `arg:"" optional:"" name:"org" help:"These orgs only."`
	To         string   `placeholder:"RANGE,…" help:"Plan a move to these addresses: single ones, start-end, or CIDRs."`
	Registered string   `placeholder:"RANGE,…" help:"What Salesforce has registered, as read in Setup; without it SALLYPORT_EGRESS_ALLOWED of the server."`
	Text       bool     `help:"Print the text for each app's administrators instead."`
	Output     string   `short:"o" enum:"table,json" default:"table" help:"How to print: table or json."`
}

// planned is a plan and what it rests on.
type planned struct {
	Orgs    []admin.EgressOrg    `json:"orgs"`
	Sources []admin.EgressSource `json:"sources"`
	egressplan.Plan
	Open []string `json:"open"` // why the plan can't be complete
	Note string   `json:"note"`
}

// Run prints the plan.
func (c *egressPlanCmd) Run(ctx context.Context, st *streams) error {
	target, err := egressplan.ParseAll(c.To)
	if err != nil {
		return &usageError{"--to: " + err.Error()}
	}
	registered, err := egressplan.ParseAll(c.Registered)
	if err != nil {
		return &usageError{"--registered: " + err.Error()}
	}
	server, err := st.server()
	if err != nil {
		return err
	}
	rep, err := server.Egress(ctx)
	if err != nil {
		return err
	}
	if c.Registered == "" {
		registered = rep.Registered
	}
	p, err := plan(rep, c.Orgs, registered, target)
	if err != nil {
		return err
	}
	switch {
	case c.Text:
		err = letters(st.out, p)
	case c.Output == "json":
		o := output{c.Output}
		err = o.print(st.out, p, nil)
	default:
		err = p.tell(st.out)
	}
	if err != nil {
		return err
	}
	if !p.OK() || len(p.Open) > 0 || len(target) == 0 && len(p.Missing) > 0 {
		return errTold
	}
	return nil
}

// plan makes a plan of what a server tells.
func plan(rep admin.EgressReport, names []string, registered, target egressplan.Set) (planned, error) {
	p := planned{Sources: rep.Sources, Open: []string{}, Note: provesNote}
	var err error
	if p.Orgs, err = chosen(rep.Orgs, names, func(o admin.EgressOrg) string { return o.Name }); err != nil {
		return p, err
	}
	in := egressplan.Input{Registered: registered, Target: target, Bound: len(rep.Sources) > 0}
	for _, s := range rep.Sources {
		public, err := netip.ParseAddr(s.Public)
		if err != nil { // no echo said; an address that isn't private is seen as it is
			if public, err = netip.ParseAddr(s.Source); err != nil || public.IsPrivate() || public.IsLoopback() || !public.IsGlobalUnicast() {
				p.Open = append(p.Open, "it isn't known as what source address "+s.Source+" leaves: set SALLYPORT_EGRESS_ECHO_URL, then sallyport egress probe")
				in.Bound = false
				continue
			}
		}
		in.Bound = in.Bound && s.Source == public.String()
		in.InUse = in.InUse.Union(egressplan.Of(public))
	}
	for _, o := range rep.Orgs {
		in.InUse = in.InUse.Union(othersOf(o, rep))
	}
	for _, o := range p.Orgs {
		if o.Source == "" && !o.Disabled {
			p.Open = append(p.Open, "org "+o.Name+" can't leave from here: its egress address is another replica's, or nobody's")
		}
	}
	in.Orgs = placements(p.Orgs, rep.Orgs)
	p.Plan = egressplan.Make(in)
	return p, nil
}

// placements are where orgs are: all of them, since a move concerns all, and
// the chosen ones first.
func placements(some, all []admin.EgressOrg) (out []egressplan.Placement) {
	for _, o := range slices.Concat(some, all) {
		p := egressplan.Placement{Org: o.Name, Source: o.Source}
		if p.Source == admin.AnySource {
			p.Source = ""
		}
		if !o.Disabled && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// othersOf are the addresses that other replicas' exchanges of o left by lately.
func othersOf(o admin.EgressOrg, rep admin.EgressReport) (all egressplan.Set) {
	for _, u := range o.Used {
		a, err := netip.ParseAddr(u.Address)
		if err == nil && u.Replica != rep.Replica && rep.Time.Sub(u.At) < othersWithin && !a.IsPrivate() {
			all = all.Union(egressplan.Of(a))
		}
	}
	return all
}

// tell prints the plan for people.
func (p planned) tell(w io.Writer) error {
	rows := [][]string{{"ORG", "APP", "SOURCE", "LEAVES AS", "STANDING", "REGISTERED", "ACCEPTED BY SALESFORCE"}}
	for _, o := range p.Orgs {
		s := p.source(o.Source)
		rows = append(rows, []string{o.Name, o.App, dash(o.Source), dash(s.Public), dash(s.Standing), p.isRegistered(s), accepted(o, s.Public)})
	}
	if err := table(w, rows); err != nil {
		return err
	}
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	show := func(name string, s egressplan.Set) {
		text := "none"
		if len(s) > 0 {
			text = fmt.Sprintf("%s (%v)", s, s.Count())
		}
		say("%-12s %s", name+":", text)
	}
	say("")
	show("in use", p.InUse)
	show("registered", p.Registered)
	show("missing", p.Missing)
	show("superfluous", p.Superfluous)
	if len(p.Target) > 0 {
		show("move to", p.Target)
	}
	say("\nregister, as start-end pairs:")
	for _, r := range p.Register {
		say("  %s - %s", r.From, r.To)
	}
	fit := func(name string, f egressplan.Fit) {
		say("%s: %d of %d ranges, %v of %d addresses", name, f.Ranges, egressplan.MaxRanges, f.Addresses, egressplan.MaxAddresses)
		if !f.OK() {
			say("  TOO MUCH: %s", f.Advice)
		}
	}
	fit("in the end", p.Fit)
	if !slices.Equal(p.Register, p.Meanwhile) {
		fit("on the way", p.During)
	}
	for _, o := range p.Open {
		say("OPEN: %s", plain(o))
	}
	p.tellSteps(say)
	say("\nnote: what is registered is what sallyport was told; Salesforce has no API that tells it.")
	say("note: %s", p.Note)
	_, err := io.WriteString(w, b.String())
	return err
}

func (p planned) tellSteps(say func(string, ...any)) {
	if len(p.Steps) > 0 {
		say("\nsteps, each when the one before has gone well:")
	}
	for i, s := range p.Steps {
		say("%2d. %s.", i+1, plain(s.Do))
		for _, n := range s.Notes {
			say("      %s", plain(n))
		}
		for _, c := range s.Commands {
			say("      $ %s", plain(c))
		}
	}
}

func (p planned) source(name string) admin.EgressSource {
	if i := slices.IndexFunc(p.Sources, func(s admin.EgressSource) bool { return s.Source == name }); i >= 0 {
		return p.Sources[i]
	}
	return admin.EgressSource{}
}

// isRegistered says whether what leaves by s is registered; a dash where
// nobody knows.
func (p planned) isRegistered(s admin.EgressSource) string {
	a, err := netip.ParseAddr(s.Public)
	if err != nil {
		return "-"
	}
	return yesNo(p.Registered.Contains(a))
}

// accepted says when an exchange of o from address last got a token.
func accepted(o admin.EgressOrg, address string) string {
	for _, u := range o.Used {
		if u.Address == address && u.Accepted {
			return u.At.UTC().Format(time.RFC3339)
		}
	}
	return "-"
}

// letters prints the text for the administrators, one an app.
func letters(w io.Writer, p planned) error {
	byApp := map[string][]string{}
	var apps []string
	for _, o := range p.Orgs {
		if o.Disabled {
			continue
		}
		if len(byApp[o.App]) == 0 {
			apps = append(apps, o.App)
		}
		byApp[o.App] = append(byApp[o.App], o.Name)
	}
	for i, app := range apps {
		if i > 0 {
			if _, err := io.WriteString(w, "\n----\n\n"); err != nil {
				return err
			}
		}
		add := p.Meanwhile.Minus(p.Registered)
		l := egressplan.Letter{App: app, Orgs: byApp[app], Add: add, Keep: p.Meanwhile.Minus(add), Remove: p.Registered.Minus(p.Register)}
		if _, err := io.WriteString(w, l.Text()); err != nil {
			return err
		}
	}
	return nil
}
