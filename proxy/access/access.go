// Package access decides who is calling and what it may reach: it identifies the client of a CONNECT, decides whether
// the connection is intercepted, tunnelled or refused, chooses the org, and judges each request against the client's
// policy. It does no I/O and keeps nothing but what it has verified: everything is judged against a
// [registry.Snapshot] that the caller hands in.
package access

import (
	"fmt"
	"time"
)

// Code names a refusal as clients see it in Sallyport-Error.
type Code string

// The codes of this package's refusals.
const (
	ProxyAuthRequired Code = "proxy_auth_required"
	HostNotAllowed    Code = "host_not_allowed"
	OrgNotAllowed     Code = "org_not_allowed"
	OrgAmbiguous      Code = "org_ambiguous"
	RequestNotAllowed Code = "request_not_allowed"
	BadRequest        Code = "bad_request"
	Misdirected       Code = "misdirected"
	Overloaded        Code = "overloaded"
)

// RefusalError is why a caller doesn't get what it asked for, said to the caller: what happened and what to do. It holds no
// secret, and trying the same again helps only when RetryAfter says so.
type RefusalError struct {
	Code       Code
	Message    string
	RetryAfter time.Duration // Zero: trying again doesn't help.
	// Reportable says that a client in report mode is let through all the same.
	Reportable bool
}

// Error implements error.
func (r *RefusalError) Error() string { return string(r.Code) + ": " + r.Message }

func refuse(code Code, format string, args ...any) *RefusalError {
	return &RefusalError{Code: code, Message: fmt.Sprintf(format, args...)}
}

// report is refuse for what a client in report mode is let through with.
func report(format string, args ...any) *RefusalError {
	return &RefusalError{Code: RequestNotAllowed, Message: fmt.Sprintf(format, args...), Reportable: true}
}
