package proxy

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/internal/egress"
	"github.com/sallyport/sallyport/proxy/access"
	"github.com/sallyport/sallyport/proxy/soap"
	"github.com/sallyport/sallyport/tokens"
)

// Codes that package access doesn't give.
const (
	codePlaintext       access.Code = "plaintext_refused"
	codeRateLimited     access.Code = "rate_limited"
	codeShuttingDown    access.Code = "shutting_down"
	codeUpstreamTimeout access.Code = "upstream_timeout"
)

// statuses is the one table from a code to the status of the answer.
var statuses = map[access.Code]int{
	access.ProxyAuthRequired: http.StatusProxyAuthRequired,
	access.HostNotAllowed:    http.StatusForbidden,
	access.OrgNotAllowed:     http.StatusForbidden,
	access.RequestNotAllowed: http.StatusForbidden,
	codePlaintext:            http.StatusForbidden,
	access.OrgAmbiguous:      http.StatusBadRequest,
	access.BadRequest:        http.StatusBadRequest,
	access.Misdirected:       http.StatusMisdirectedRequest,
	codeRateLimited:          http.StatusTooManyRequests,
	access.Overloaded:        http.StatusServiceUnavailable,
	codeShuttingDown:         http.StatusServiceUnavailable,
	codeUpstreamTimeout:      http.StatusGatewayTimeout,

	access.Code(tokens.CodeAddressNotAllowed): http.StatusForbidden,
	access.Code(tokens.CodeReauthRequired):    http.StatusBadGateway,
	access.Code(tokens.CodeSessionRejected):   http.StatusBadGateway,
	access.Code(tokens.CodeMisconfigured):     http.StatusBadGateway,
	access.Code(tokens.CodeUpstream):          http.StatusBadGateway,
	access.Code(tokens.CodeUpstreamTLS):       http.StatusBadGateway,
	access.Code(tokens.CodeUnavailable):       http.StatusServiceUnavailable,
	access.Code(tokens.CodeEgressUnverified):  http.StatusServiceUnavailable,
}

var (
	errShuttingDown = &access.RefusalError{Code: codeShuttingDown, RetryAfter: time.Second,
		Message: "this proxy is shutting down: try again, another one or the next start will serve you"}
	errSessionRejected = &access.RefusalError{Code: access.Code(tokens.CodeSessionRejected),
		Message: "Salesforce refuses a session that was only just issued: check the user's and the app's session settings, " +
			"login hours and IP restrictions; asking again won't help until they are mended"}
	errManyOrgs = &access.RefusalError{Code: access.OrgAmbiguous,
		Message: "there is more than one " + headerOrg + " header: send one"}
	errUpgrade = &access.RefusalError{Code: access.RequestNotAllowed,
		Message: "Upgrade is never forwarded: no Salesforce API uses it"}
)

// answer is what a caller gets when sallyport itself answers.
type answer struct {
	status     int
	code       access.Code
	message    string
	retryAfter time.Duration
	base       bool // To a caller by base URL, which no proxy's challenge is for.
}

// explain maps an error to its answer.
func explain(err error) answer {
	var refusal *access.RefusalError
	var token *tokens.Error
	var busy *egress.BusyError
	var envelope *soap.Error
	switch {
	case errors.As(err, &refusal):
		return answerOf(refusal.Code, refusal.Message, refusal.RetryAfter)
	case errors.As(err, &token):
		if _, ok := statuses[access.Code(token.Code)]; !ok {
			return answerOf(access.Code(tokens.CodeUnavailable), token.Error(), token.RetryAfter)
		}
		return answerOf(access.Code(token.Code), token.Error(), token.RetryAfter)
	case errors.As(err, &busy):
		return answerOf(access.Overloaded, busy.Error(), 0)
	case errors.As(err, &envelope):
		return answerOf(access.BadRequest, envelope.Error(), 0)
	}
	switch egress.Classify(err) {
	case egress.ClassAddressNotAllowed:
		return answerOf(access.Code(tokens.CodeAddressNotAllowed), err.Error(), 0)
	case egress.ClassSource:
		return answerOf(access.Code(tokens.CodeMisconfigured), err.Error(), 0)
	case egress.ClassTLS:
		return answerOf(access.Code(tokens.CodeUpstreamTLS), err.Error(), 0)
	case egress.ClassTimeout:
		return answerOf(codeUpstreamTimeout, "Salesforce didn't answer in time; whether it acted on the request is not known", 0)
	default:
		return answerOf(access.Code(tokens.CodeUpstream), err.Error(), 0)
	}
}

// answerOf fills in what the code implies. A 429 or 503 always says when to come again.
func answerOf(code access.Code, message string, retryAfter time.Duration) answer {
	a := answer{status: statuses[code], code: code, message: message, retryAfter: retryAfter}
	if (a.status == http.StatusServiceUnavailable || a.status == http.StatusTooManyRequests) && a.retryAfter < time.Second {
		a.retryAfter = time.Second
	}
	return a
}

// header adds what every answer of ours has.
func (a answer) header(h http.Header) {
	h.Set("Sallyport-Error", string(a.code))
	h.Set("Cache-Control", "no-store")
	if a.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(a.retryAfter.Seconds()))))
	}
	switch {
	case a.status != http.StatusProxyAuthRequired:
	case a.base:
		h.Set("Www-Authenticate", `Basic realm="sallyport", charset="UTF-8"`)
	default:
		h.Set("Proxy-Authenticate", `Basic realm="sallyport"`)
	}
}

// gone reports whether err is the caller's own going away, which needs no answer.
func gone(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, context.Canceled)
}
