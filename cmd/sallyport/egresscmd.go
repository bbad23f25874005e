package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

type egressCmd struct {
	Plan  egressPlanCmd  `cmd:"" help:"Compare the addresses in use with the registered ones; print what to register, the steps, the administrator's text. Exit code 1 where something is to be done."`
	Probe egressProbeCmd `cmd:"" help:"Prove each source address now, by an echo and a call to Salesforce without a credential. Exit code 1 unless all are verified."`
	Watch egressWatchCmd `cmd:"" help:"Compare the addresses that Salesforce recorded of each org's logins with the known ones. Exit code 1 on a stranger."`
}

// provesNote says what an echo's word is worth.
const provesNote = "an echo proves where one connection to it came from: a NAT with several addresses is proved only as a set, address by address as it shows them, " +
	"and calls to Salesforce may be routed another way than calls to the echo; LoginHistory (sallyport egress watch) is Salesforce's own word"

type egressProbeCmd struct {
	Address string `placeholder:"ADDRESS" help:"Only the source address that is, or is seen as, this one."`
	Output  string `short:"o" enum:"table,json" default:"table" help:"How to print: table or json."`
}

// Run prints what was seen of each source address.
func (c *egressProbeCmd) Run(ctx context.Context, st *streams) error {
	server, err := st.server()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	found, err := server.ProbeEgress(ctx, c.Address)
	if err != nil {
		return err
	}
	rows := [][]string{{"SOURCE", "SEEN AS", "STANDING", "ECHO", "SALESFORCE", "VERIFIED"}}
	for _, p := range found {
		rows = append(rows, []string{p.Source, dash(strings.Join(p.Seen, ",")), p.Standing, dash(p.Echo), answered(p), yesNo(p.Verified)})
	}
	o := output{c.Output}
	if err := o.print(st.out, found, rows); err != nil {
		return err
	}
	allGood := len(found) > 0
	for _, p := range found {
		allGood = allGood && p.Verified
		if hint := probeHint(p); hint != "" && c.Output == "table" {
			fmt.Fprintln(st.out, plain(p.Source+": "+hint))
		}
	}
	if c.Output == "table" {
		fmt.Fprintln(st.out, "\nnote: "+provesNote)
	}
	if !allGood {
		return errTold
	}
	return nil
}

// answered is how Salesforce answered a probe.
func answered(p admin.EgressProbe) string {
	switch {
	case p.Host == "":
		return "not called: no org is known"
	case p.Status == 0:
		return p.Host + " gave no answer"
	}
	return fmt.Sprintf("%s answered %d", p.Host, p.Status)
}

// probeHint says what to do about a source address that isn't verified.
func probeHint(p admin.EgressProbe) string {
	switch {
	case p.Verified:
		return ""
	case p.Error != "":
		return "no echo answered: " + p.Error
	case p.Standing == "mismatch" || len(p.Seen) > 1:
		return "it leaves as " + strings.Join(p.Seen, " and ") + ", not all of which are in SALLYPORT_EGRESS_ALLOWED: register them (sallyport egress plan), or mend the way out"
	case len(p.Seen) == 0:
		return "nobody was asked: set SALLYPORT_EGRESS_ECHO_URL"
	case p.Standing == "unknown":
		return "no registered addresses are known: set SALLYPORT_EGRESS_ALLOWED"
	}
	return "Salesforce was not reached from it: " + p.Call
}

// chosen are the orgs of names, or all where there are none.
func chosen[T any](all []T, names []string, name func(T) string) ([]T, error) {
	if len(names) == 0 {
		return all, nil
	}
	var out []T
	for _, n := range names {
		i := slices.IndexFunc(all, func(v T) bool { return name(v) == n })
		if i < 0 {
			return nil, fmt.Errorf("there is no org %q; sallyport get orgs lists them", n)
		}
		out = append(out, all[i])
	}
	return out, nil
}
