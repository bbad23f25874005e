package main

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

// clientDoctor is what doctor --client is told.
type clientDoctor struct {
	Host  string `placeholder:"HOST" help:"With --client: the org's host, such as acme.my.salesforce.com."`
	Proxy string `placeholder:"URL" help:"With --client: the proxy to try; by default the one that this shell has set."`
	CA    string `name:"ca" placeholder:"FILE" help:"With --client: the CA's file, to compare with what the proxy shows."`

	now func() time.Time // nil: time.Now
}

// hostName is a DNS name with at least one dot, and perhaps a port.
var hostName = regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?(:[0-9]{1,5})?$`)

// check refuses flags that don't go together.
func (c *clientDoctor) check(client bool) error {
	switch {
	case !client && (c.Host != "" || c.Proxy != "" || c.CA != ""):
		return &usageError{"--host, --proxy and --ca go with --client"}
	case client && c.Host == "":
		return &usageError{"doctor --client asks an org: say which with --host, such as --host acme.my.salesforce.com"}
	case client && !hostName.MatchString(strings.ToLower(c.Host)):
		return &usageError{"--host must be the org's host, without a scheme or a path, such as acme.my.salesforce.com"}
	}
	return nil
}

// findings looks at the environment, and then goes the way of a client: to the proxy, through it, to the org.
func (c *clientDoctor) findings(ctx context.Context, st *streams) []admin.Finding {
	host, port, err := net.SplitHostPort(strings.ToLower(c.Host))
	if err != nil {
		host, port = strings.ToLower(c.Host), "443"
	}
	now := time.Now
	if c.now != nil {
		now = c.now
	}
	set, all := c.chooseProxy(st)
	all = append(all, proxyTraps(st, host)...)
	all = append(all, nodeFinding(ctx, st), javaProxyFinding(st, host, set.url))
	given, sources := c.sources(st)
	unseen := func(check, why string) {
		all = append(all, admin.Finding{Check: check, Result: admin.ResultNotVisible, What: why})
	}
	if set.url == nil {
		unseen("certificate", "no proxy was tried")
		unseen("request", "no proxy was tried")
		return all
	}
	w := way{proxy: set.url, host: host, port: port, now: now, roots: pool(append(sources, given))}
	conn, found := w.tunnel(ctx)
	all = append(all, found...)
	if conn == nil {
		unseen("certificate", "no tunnel was opened")
		unseen("request", "no tunnel was opened")
		return all
	}
	defer conn.Close()
	inner, chain, err := w.handshake(ctx, conn)
	if len(chain) == 0 {
		f := admin.Finding{Check: "certificate", Result: admin.ResultWrong, What: fmt.Sprintf("TLS inside the tunnel failed: %v", err), Hint: "is this proxy sallyport?"}
		all = append(all, f)
		unseen("request", "TLS failed")
		return all
	}
	all = append(all, judgeChain(newShown(host, chain, now()), now(), given, sources)...)
	if inner == nil {
		return append(all, admin.Finding{Check: "request", Result: admin.ResultWrong, What: "nothing here trusts the certificate, so nothing was sent",
			Hint: "sallyport trust builds what each runtime needs"})
	}
	return append(all, w.request(ctx, inner))
}

// judgeChain judges the certificates that came from inside the tunnel.
func judgeChain(seen shown, now time.Time, given trustSource, sources []trustSource) []admin.Finding {
	all := []admin.Finding{seen.certificateFinding(given), lifeFinding(seen.chain[0], now), seen.constraintFinding(append(sources, given))}
	for _, s := range sources {
		all = append(all, s.finding(seen))
	}
	return all
}
