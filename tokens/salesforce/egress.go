package salesforce

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"

	"github.com/sallyport/sallyport/internal/egress"
	"github.com/sallyport/sallyport/tokens"
)

// Via returns a [Dialer] that leaves through e, each org by its own address.
func Via(e *egress.Egress) Dialer { return via{e} }

type via struct{ egress *egress.Egress }

// DialTLS implements [Dialer].
func (v via) DialTLS(ctx context.Context, org tokens.OrgID, source netip.Addr, host string, port uint16) (Conn, error) {
	from, err := v.egress.Source(string(org), source)
	if err != nil {
		return nil, err
	}
	conn, err := v.egress.DialTLS(ctx, from, host, port)
	if err != nil {
		return nil, err
	}
	if public := v.egress.Public(from); public.IsValid() {
		return seen{conn, public}, nil
	}
	return conn, nil
}

// seen is a connection whose public address is known.
type seen struct {
	*egress.Conn
	public netip.Addr
}

// LocalAddr implements [net.Conn]. It is the address that Salesforce sees.
func (s seen) LocalAddr() net.Addr { return &net.TCPAddr{IP: s.public.AsSlice()} }

// dialError says why there is no connection to the token endpoint of app. In
// every case nothing was sent, so trying again is safe; Temporary says whether
// it may help.
func dialError(org tokens.OrgID, app App, err error) *tokens.Error {
	// An adapter between us and egress may know better already.
	if known, ok := errors.AsType[*tokens.Error](err); ok {
		return known
	}
	to := net.JoinHostPort(app.TokenHost, strconv.Itoa(int(app.TokenPort)))
	e := &tokens.Error{Org: org, Code: tokens.CodeUpstream, Temporary: true, Err: err}
	switch egress.Classify(err) {
	case egress.ClassAddressNotAllowed:
		e.Code, e.Temporary = tokens.CodeAddressNotAllowed, false
		e.What = "the egress guard refuses the address of " + to
		e.Hint = "see why its name resolves to that address; SALLYPORT_ALLOW_ADDRESSES allows it if it is meant"
	case egress.ClassSource:
		e.Code, e.Temporary = tokens.CodeEgressUnverified, false
		e.What = "the org's source address can't be used"
		e.Hint = "compare the org's egress with SALLYPORT_EGRESS_SOURCE_IPS and with the machine's interfaces"
	case egress.ClassUnverified:
		e.Code = tokens.CodeEgressUnverified
		e.What = err.Error()
		e.Hint = "no refresh token leaves from an address that isn't verified: see sallyport doctor, SALLYPORT_EGRESS_ALLOWED and SALLYPORT_EGRESS_ECHO_URL"
	case egress.ClassTLS:
		e.Code, e.Temporary = tokens.CodeUpstreamTLS, false
		e.What = "TLS with " + to + " failed"
		e.Hint = "something in between may intercept TLS, or SALLYPORT_UPSTREAM_CA_FILE lacks its CA"
	case egress.ClassCanceled:
		e.What = "the connection to " + to + " was given up before it stood"
	case egress.ClassTimeout:
		e.What = to + " was not reached in time"
		e.Hint = "check the way out; it is tried again"
	case egress.ClassUnreachable, egress.ClassNone:
		e.What = to + " is unreachable"
		e.Hint = "check the name, the way out and SALLYPORT_EGRESS_PROXY; it is tried again"
	}
	return e
}
