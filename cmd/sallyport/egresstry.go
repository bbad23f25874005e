package main

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/egress"
	"github.com/sallyport/sallyport/tokens/salesforce"
)

const (
	// looks is how often a probe asks the echoes, each time by a new connection:
	// a NAT with several addresses may show another one.
	looks = 3
	// versionsTimeout is for the call to Salesforce.
	versionsTimeout = 15 * time.Second
	maxVersions     = 64 << 10
)

// Probe implements [admin.Egress]. The call to Salesforce asks for the list of
// API versions, which takes no session: it counts against no limit, is no login
// of anybody, and carries nothing that could be lost.
func (d *egressDesk) Probe(ctx context.Context, address string) ([]admin.EgressProbe, error) {
	var wanted netip.Addr
	if address != "" {
		var err error
		if wanted, err = netip.ParseAddr(address); err != nil || wanted.Zone() != "" {
			return nil, &admin.ProblemError{Status: http.StatusBadRequest, Code: "bad_request", Detail: "the address to probe is no IP address"}
		}
		wanted = wanted.Unmap()
	}
	before := d.out.Attestations()
	seen := map[netip.Addr][]netip.Addr{}
	for range looks {
		d.out.Attest(ctx)
		for _, at := range d.out.Attestations() {
			if at.Err == nil && at.Public.IsValid() && !slices.Contains(seen[at.Source], at.Public) {
				seen[at.Source] = append(seen[at.Source], at.Public)
			}
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	now := d.out.Attestations()
	if !slices.EqualFunc(before, now, func(a, b egress.Attestation) bool { return a.Standing == b.Standing && a.Public == b.Public }) {
		d.attested()
	}
	found := []admin.EgressProbe{}
	var each sync.WaitGroup
	for _, at := range now {
		if wanted.IsValid() && at.Source != wanted && !slices.Contains(seen[at.Source], wanted) {
			continue
		}
		p := admin.EgressProbe{EgressSource: viewAttestation(at), Seen: []string{}, Verified: at.Standing == egress.Verified && at.Err == nil}
		for _, public := range seen[at.Source] {
			p.Seen = append(p.Seen, public.String())
			p.Verified = p.Verified && d.registered.Contains(public)
		}
		found = append(found, p)
	}
	if wanted.IsValid() && len(found) == 0 {
		return nil, &admin.ConflictError{What: wanted.String() + " is no source address of this server, and no echo saw it: add it to SALLYPORT_EGRESS_SOURCE_IPS or let the NAT use it; " +
			"of a NAT with several addresses, probe again"}
	}
	for i := range found {
		each.Go(func() { d.callSalesforce(ctx, &found[i]) }) // ends with its timeout
	}
	each.Wait()
	return found, nil
}

// callSalesforce completes p with what Salesforce answers to who leaves by its
// source.
func (d *egressDesk) callSalesforce(ctx context.Context, p *admin.EgressProbe) {
	source := netip.Addr{}
	if p.Source != admin.AnySource {
		source, _ = netip.ParseAddr(p.Source) // written by sourceName
	}
	app, ok := d.appFor(source)
	if !ok {
		return
	}
	p.Host = app.TokenHost
	ctx, cancel := context.WithTimeout(ctx, versionsTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+hostPort(app.TokenHost, app.TokenPort)+"/services/data/", nil)
	if err != nil {
		p.Call, p.Verified = err.Error(), false
		return
	}
	req.Close = true
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "sallyport/"+version)
	resp, err := d.out.Transport(source).RoundTrip(req)
	if err != nil {
		p.Call, p.Verified = err.Error(), false
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxVersions)) // that it answered is what counts
	_ = resp.Body.Close()                                              // likewise
	p.Status = resp.StatusCode
}

// appFor is the app of an org that leaves by source, else of any org, so that a
// new address can be tried before an org uses it.
func (d *egressDesk) appFor(source netip.Addr) (app salesforce.App, ok bool) {
	best := ""
	for id, l := range *d.dir.now.Load() {
		rank := "2" + string(id)
		if l.settings.Disabled {
			rank = "3" + string(id)
		} else if s, err := d.dir.source(l); err == nil && s == source {
			rank = "1" + string(id)
		}
		if !ok || rank < best {
			best, app, ok = rank, l.app, true
		}
	}
	return app, ok
}
