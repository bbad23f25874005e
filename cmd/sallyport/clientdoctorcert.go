package main

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

// shown is what the host showed inside the tunnel.
type shown struct {
	host  string
	chain []*x509.Certificate // the leaf first
	at    time.Time           // now, or the moment of the leaf's life that is nearest: the clock is judged by itself
}

func newShown(host string, chain []*x509.Certificate, now time.Time) shown {
	leaf := chain[0]
	switch {
	case now.Before(leaf.NotBefore):
		now = leaf.NotBefore
	case now.After(leaf.NotAfter):
		now = leaf.NotAfter
	}
	return shown{host, chain, now}
}

// vouched returns the way from the leaf to a root of certs.
func (s shown) vouched(certs []*x509.Certificate) ([]*x509.Certificate, error) {
	o := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), DNSName: s.host, CurrentTime: s.at}
	for _, c := range certs {
		o.Roots.AddCert(c)
	}
	for _, c := range s.chain[1:] {
		o.Intermediates.AddCert(c)
	}
	ways, err := s.chain[0].Verify(o)
	if err != nil {
		return nil, err
	}
	return ways[0], nil
}

// certificateFinding says whose certificate it is.
func (s shown) certificateFinding(given trustSource) admin.Finding {
	host, signer := s.host, plain(s.chain[0].Issuer.String())
	f := admin.Finding{Check: "certificate", Result: admin.ResultOK, What: host + " is vouched for by " + signer}
	switch ours := slices.Contains(s.chain[0].Issuer.Organization, "sallyport"); {
	case given.err != nil:
		f.Result, f.What, f.Hint = admin.ResultWrong, "--ca: "+given.err.Error(), "give what sallyport ca export printed"
	case given.set:
		if _, err := s.vouched(given.certs); err != nil {
			f.Result, f.What = admin.ResultWrong, fmt.Sprintf("%s is vouched for by %s, and %s: %s", host, signer, given.path, untrusted(err))
			f.Hint = "get the CA of this proxy: sallyport ca export"
		}
	case !ours:
		f.Result, f.What = admin.ResultWarning, fmt.Sprintf("%s is vouched for by %s, which sallyport didn't make", host, signer)
		f.Hint = "right with a CA of your own (SALLYPORT_CA_CERT: compare with --ca FILE); else another proxy answers, or Salesforce itself"
	}
	return f
}

// lifeFinding compares this machine's clock with the certificate, which lives for three days.
func lifeFinding(leaf *x509.Certificate, now time.Time) admin.Finding {
	f := admin.Finding{Check: "clock", Result: admin.ResultOK, What: "it is within the certificate's life, until " + leaf.NotAfter.UTC().Format(time.RFC3339)}
	switch {
	case now.Before(leaf.NotBefore):
		f.Result, f.What = admin.ResultWrong, fmt.Sprintf("this machine's clock is %v before the certificate's life", leaf.NotBefore.Sub(now).Round(time.Second))
	case now.After(leaf.NotAfter):
		f.Result, f.What = admin.ResultWrong, fmt.Sprintf("this machine's clock is %v after the certificate's life", now.Sub(leaf.NotAfter).Round(time.Second))
	default:
		return f
	}
	f.Hint = "synchronise the clocks of this machine and of the proxy"
	return f
}

// constraintFinding says for which names the CA may vouch.
func (s shown) constraintFinding(sources []trustSource) admin.Finding {
	f := admin.Finding{Check: "name constraints", Result: admin.ResultOK}
	way := s.chain
	for _, source := range sources {
		if found, err := s.vouched(source.certs); err == nil {
			way = found
			break
		}
	}
	for _, c := range way[1:] {
		if len(c.PermittedDNSDomains) == 0 {
			continue
		}
		i := slices.IndexFunc(c.PermittedDNSDomains, func(d string) bool {
			return s.host == d || strings.HasSuffix(s.host, "."+strings.TrimPrefix(d, "."))
		})
		switch {
		case i < 0:
			f.Result, f.What = admin.ResultWrong, "the CA may vouch for "+strings.Join(c.PermittedDNSDomains, ", ")+" only, and "+s.host+" isn't in it"
			f.Hint = "add its domain to SALLYPORT_CA_DOMAINS and rotate the CA"
			return f
		case len(c.PermittedDNSDomains) == 1:
			f.What = "the CA may vouch for " + c.PermittedDNSDomains[i] + " only"
		default:
			f.What = fmt.Sprintf("the CA may vouch for %s and %d other domains only", c.PermittedDNSDomains[i], len(c.PermittedDNSDomains)-1)
		}
		if !c.PermittedDNSDomainsCritical {
			f.Result, f.What, f.Hint = admin.ResultWarning, f.What+"; programs are free to ignore that, since it isn't critical", "make the constraint critical"
		}
		return f
	}
	f.Result, f.What = admin.ResultWarning, "the CA may vouch for any name"
	f.Hint = "whoever has its key can pose as any host to those who trust it: constrain it to Salesforce's domains"
	return f
}
