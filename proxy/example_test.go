package proxy_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/access"
	"github.com/sallyport/sallyport/tokens"
)

// A caller knows the proxy and trusts its CA. Whatever credential it sends is
// dropped, and the org's access token goes upstream in its place.
func ExampleNew() {
	caller, end, err := serving(&fakeUpstream{trip: func(r *http.Request) (*http.Response, error) {
		fmt.Println("Salesforce sees", r.URL.Path, r.Header["Authorization"], r.Header["Cookie"])
		return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "https://"+acme+data, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	r.Header = http.Header{"Authorization": {"Bearer of-the-caller"}, "Cookie": {"sid=of-the-caller"}}
	resp, err := caller.Do(r)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	fmt.Println("the caller sees", resp.StatusCode, end())
	// Output:
	// Salesforce sees /services/data/v65.0/ [Bearer acme-1] []
	// the caller sees 204 <nil>
}

// serving is a proxy with the one org acme in front of upstream, and a local
// caller of it. end drains the proxy.
func serving(upstream proxy.Upstream) (caller *http.Client, end func() error, err error) {
	ctx, m := context.Background(), &memory{}
	r, err := registry.New(ctx, registry.Options{Store: m, Sealer: m})
	if err != nil {
		return nil, nil, err
	}
	change := world()
	change.Orgs, change.Clients = change.Orgs[:1], nil
	if _, err := r.Apply(ctx, change); err != nil {
		return nil, nil, err
	}
	ca, err := proxy.NewAuthority([]string{"salesforce.com"}, time.Now())
	if err != nil {
		return nil, nil, err
	}
	s, err := proxy.New(proxy.Options{Registry: r, Tokens: &fakeTokens{n: map[tokens.OrgID]int64{}}, Upstream: upstream,
		Authority: ca, LocalCallers: access.LocalOpen})
	if err != nil {
		return nil, nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, errors.Join(err, s.Drain(ctx))
	}
	var served error
	var serves sync.WaitGroup
	serves.Go(func() { served = s.Serve(l) }) // Ends with Drain.
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(proxy.Export(ca))
	t := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: l.Addr().String()}), TLSClientConfig: &tls.Config{RootCAs: roots}}
	return &http.Client{Transport: t}, func() error {
		t.CloseIdleConnections()
		err := s.Drain(ctx)
		serves.Wait()
		return errors.Join(err, served)
	}, nil
}

// A CA that clients are to trust can vouch for Salesforce's hosts only, and says
// so in a way that no client may overlook. Its root key is gone.
func ExampleNewAuthority() {
	ca, err := proxy.NewAuthority([]string{"salesforce.com", "force.com"}, time.Now())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(ca.Root().PermittedDNSDomains, "critical:", ca.Root().PermittedDNSDomainsCritical)
	fmt.Println(ca.Issuer().PermittedDNSDomains, "critical:", ca.Issuer().PermittedDNSDomainsCritical)
	_, err = proxy.NewAuthority(nil, time.Now())
	fmt.Println(err)
	// Output:
	// [salesforce.com force.com] critical: true
	// [salesforce.com force.com] critical: true
	// the CA needs at least one domain to be constrained to: set SALLYPORT_CA_DOMAINS
}
