package salesforce

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/tokens"
)

var errUsed = errors.New("the line was used already: it serves one request")

// line is one connection to a token endpoint.
type line struct {
	org     tokens.OrgID
	app     App
	conn    Conn
	timeout time.Duration
	used    atomic.Bool
}

var _ tokens.Line = (*line)(nil)

// Send implements [tokens.Line]. The request is one Write, right after guard.
//
// It ends at ctx's deadline or after the exchange timeout, whichever comes
// first. A ctx that is cancelled sooner keeps a request from being sent, and
// doesn't cut short one that was: a cancelled POST is a doubt made by
// ourselves.
//
// It fails with guard's own error, ctx's, or a [*tokens.Error]. Whatever came
// back is returned all the same: even a cut answer may hold the new token.
func (l *line) Send(ctx context.Context, c tokens.Credential, guard func() error) (tokens.Answer, bool, error) {
	if l.used.Swap(true) {
		return nil, l.conn.Wrote(), l.fault(errUsed, l.conn.Wrote())
	}
	params, err := form(l.app, c)
	if err != nil {
		return nil, false, l.fault(err, false)
	}
	req, err := request(l.app, tokenPath, params)
	if err != nil {
		return nil, false, l.fault(err, false)
	}
	var refused error // by guard or ctx
	answer, sent, err := roundTrip(l.conn, req, earliest(ctx, l.timeout), func() error {
		if refused = ctx.Err(); refused == nil {
			refused = guard()
		}
		return refused
	})
	switch {
	case refused != nil:
		return nil, false, refused
	case err != nil:
		err = l.fault(err, sent)
	}
	return answer, sent, err
}

// Address implements [tokens.Line].
func (l *line) Address() string {
	ap, err := netip.ParseAddrPort(l.conn.LocalAddr().String())
	if err != nil {
		return ""
	}
	return ap.Addr().Unmap().WithZone("").String()
}

// Close implements [tokens.Line].
func (l *line) Close() error { return l.conn.Close() }

// fault says how a request ended.
func (l *line) fault(err error, sent bool) *tokens.Error {
	e := &tokens.Error{Org: l.org, Code: tokens.CodeUpstream, Err: err}
	switch {
	case errors.Is(err, errUnknownKind), errors.Is(err, errNoSecret), errors.Is(err, errBadCode),
		errors.Is(err, errBadHost), errors.Is(err, errUsed):
		e.Code, e.What = tokens.CodeUnavailable, err.Error()
	case !sent:
		e.What, e.Temporary = "the connection to "+l.app.TokenHost+" broke before anything was sent", true
		e.Hint = "trying again is safe"
	default:
		e.What = l.app.TokenHost + " " + how(err)
		e.Hint = "the request may have been done: it must not be sent again before introspection"
	}
	return e
}

// how tells why an answer is missing or cut.
func how(err error) string {
	var ne net.Error
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &ne) && ne.Timeout():
		return "did not answer in full in time"
	case errors.Is(err, errTooLarge):
		return "sent an answer of more than 1 MiB"
	}
	return "ended the connection before its answer was complete"
}

// earliest is ctx's deadline or limit from now, whichever comes first.
func earliest(ctx context.Context, limit time.Duration) time.Time {
	at := time.Now().Add(limit)
	if d, ok := ctx.Deadline(); ok && d.Before(at) {
		return d
	}
	return at
}
