package salesforce_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/egress"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/salesforce"
)

func TestConnectSaysWhyThereIsNoConnection(t *testing.T) {
	v := serve(t, func(*peer) {})
	other := serve(t, func(*peer) {}, "spdy/3.1") // crypto/tls lets HTTP/1.1 pass where h2 is offered
	addr := v.listener.Addr().String()
	pinned := testApp()
	pinned.Source = netip.MustParseAddr("192.0.2.7")
	for name, c := range map[string]struct {
		addr      string
		roots     *x509.CertPool
		app       salesforce.App
		org       tokens.OrgID
		code      tokens.Code
		temporary bool
	}{
		"nobody listens":                    {closedPort(t).String(), v.roots, testApp(), org, tokens.CodeUpstream, true},
		"a certificate that nobody trusts":  {addr, x509.NewCertPool(), testApp(), org, tokens.CodeUpstreamTLS, false},
		"a server without HTTP/1.1":         {other.listener.Addr().String(), other.roots, testApp(), org, tokens.CodeUpstreamTLS, false},
		"a source address that isn't there": {addr, v.roots, pinned, org, tokens.CodeEgressUnverified, false},
		"an org that nobody registered":     {addr, v.roots, testApp(), "nobody", tokens.CodeMisconfigured, false},
	} {
		t.Run(name, func(t *testing.T) {
			x := exchanger(t, c.addr, c.roots, c.app, time.Second)
			l, err := x.Connect(t.Context(), c.org)
			if l != nil {
				t.Fatal("there is a line")
			}
			e := failed(t, err, c.code)
			if e.Org != c.org || e.Temporary != c.temporary || e.What == "" || e.Hint == "" {
				t.Errorf("error %+v", e)
			}
		})
	}
	wantNoRequest(t, v)
	wantNoRequest(t, other)
}

func TestConnectRefusesAPrivateAddress(t *testing.T) {
	e, err := egress.New(egress.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	app := testApp()
	app.TokenHost = "127.0.0.1"
	x, err := salesforce.New(salesforce.Options{Dialer: salesforce.Via(e), Apps: apps{app}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = x.Connect(t.Context(), org)
	if e := failed(t, err, tokens.CodeAddressNotAllowed); e.Temporary {
		t.Error("Temporary is set")
	}
}

func TestConnectEndsWithItsContext(t *testing.T) {
	v := serve(t, func(*peer) {})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := v.exchanger(t).Connect(ctx, org)
	wantError(t, err, tokens.CodeUpstream)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

// knowing is a dialer that names the failure itself.
type knowing struct{ err error }

func (k knowing) DialTLS(context.Context, tokens.OrgID, netip.Addr, string, uint16) (salesforce.Conn, error) {
	return nil, k.err
}

func TestConnectKeepsADialersOwnError(t *testing.T) {
	own := &tokens.Error{Org: org, Code: tokens.CodeEgressUnverified, What: "the address isn't attested"}
	x, err := salesforce.New(salesforce.Options{Dialer: knowing{own}, Apps: apps{testApp()}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Connect(t.Context(), org); !errors.Is(err, own) {
		t.Errorf("error is %v", err)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	for name, o := range map[string]salesforce.Options{
		"no dialer":          {Apps: apps{}},
		"no apps":            {Dialer: knowing{}},
		"a negative timeout": {Dialer: knowing{}, Apps: apps{}, ExchangeTimeout: -1},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := salesforce.New(o); err == nil {
				t.Error("no error")
			}
		})
	}
}
