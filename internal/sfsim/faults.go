package sfsim

import (
	"fmt"
	"net/http"
	"time"
)

func (f Fault) named(format string, args ...any) Fault {
	f.Name = fmt.Sprintf(format, args...)
	return f
}

// On returns the fault at another endpoint.
func (f Fault) On(e Endpoint) Fault { f.At = e; return f }

// For returns the fault for n requests; negative: until removed.
func (f Fault) For(n int) Fault { f.Times = n; return f }

// When returns the fault for requests that match.
func (f Fault) When(match func(Seen) bool) Fault { f.Match = match; return f }

// Committed returns the fault with its answer given after the state changed.
func (f Fault) Committed() Fault {
	f.AfterCommit = true
	f.Name += " after commit"
	return f
}

// LoseAnswer closes the connection after the state changed.
func LoseAnswer() Fault { return Fault{Name: "answer lost", AfterCommit: true, Lose: true} }

// ResetAnswer resets the connection after the state changed.
func ResetAnswer() Fault { return Fault{Name: "answer reset", AfterCommit: true, Reset: true} }

// CloseBefore closes the connection before the state changes.
func CloseBefore() Fault { return Fault{Name: "closed before commit", Lose: true} }

// DelayBefore waits before the state changes.
func DelayBefore(d time.Duration) Fault { return Fault{Before: d}.named("%v before commit", d) }

// DelayAfter waits between the state's change and the answer.
func DelayAfter(d time.Duration) Fault { return Fault{After: d}.named("%v after commit", d) }

// Hold waits before the state changes until release is closed.
func Hold(release <-chan struct{}) Fault {
	return Fault{Name: "held before commit", HoldBefore: release}
}

// HoldAnswer waits between the state's change and the answer until release is closed.
func HoldAnswer(release <-chan struct{}) Fault {
	return Fault{Name: "held after commit", HoldAfter: release}
}

// HTML answers with the status and a page such as the edge sends.
func HTML(status int) Fault {
	text := http.StatusText(status)
	if status == 420 {
		text = "Hang tight, we're setting things up"
	}
	return Fault{Answer: &Answer{
		Status: status,
		Header: http.Header{"Content-Type": {"text/html;charset=UTF-8"}},
		Body:   "<html><head><title>" + text + "</title></head><body><h1>" + text + "</h1></body></html>",
	}}.named("%d HTML", status)
}

// Redirect answers 307 with the location.
func Redirect(location string) Fault {
	return Fault{Name: "307", Answer: &Answer{Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {location}}}}
}

// NotJSON answers 200 with something else than JSON.
func NotJSON() Fault {
	f := HTML(http.StatusOK)
	f.Name = "200 without JSON"
	return f
}

// Truncate answers whole, with only n bytes of the body; a negative n leaves
// that many away.
func Truncate(n int) Fault { return Fault{Truncate: n}.named("truncated to %d", n) }

// CutBody breaks the connection after n bytes of the body.
func CutBody(n int) Fault { return Fault{CutAfter: n}.named("cut after %d", n) }

// OAuthError answers 400 with an OAuth error.
func OAuthError(code, description string) Fault {
	fields := fields{{"error", code}}
	if description != "" {
		fields = append(fields, [2]string{"error_description", description})
	}
	return Fault{Answer: &Answer{
		Status: http.StatusBadRequest,
		Header: http.Header{"Content-Type": {"application/json;charset=UTF-8"}},
		Body:   string(fields.json()),
	}}.named("%s", code)
}

// LoginRateExceeded answers that the user logged in too often.
func LoginRateExceeded() Fault { return OAuthError("rate_limit_exceeded", "login rate exceeded") }

// ServerError answers that Salesforce failed, which says nothing of the token.
func ServerError() Fault { return OAuthError("server_error", "retry your request") }

// InvalidClient refuses the client as if its secret were wrong.
func InvalidClient() Fault { return Fault{Name: "invalid_client", Refuse: RefuseClient} }

// IPRestricted refuses the source address as the allowlist would.
func IPRestricted() Fault { return Fault{Name: "ip restricted", Refuse: RefuseAddress} }

// WithoutRefreshToken answers as an org without rotation: the token stays.
func WithoutRefreshToken() Fault { return Fault{Name: "no rotation", NoRotation: true} }

// KeepsNewToken rotates the token and leaves the new one out of the answer.
func KeepsNewToken() Fault { return Fault{Name: "new token left out", OmitRefreshToken: true} }

// Messages of 401s that no refresh cures.
const (
	NotValidForREST       = "This session is not valid for use with the REST API"
	NotAttachedToAgent    = "Connected app is not attached to Agent"
	sessionExpiredMessage = "Session expired or invalid"
)

// Incurable401 refuses an API call with one of the messages above.
func Incurable401(message string) Fault {
	return APIError(http.StatusUnauthorized, "INVALID_SESSION_ID", message)
}

// APIError refuses an API call in REST's JSON.
func APIError(status int, code, message string) Fault {
	return Fault{At: EndpointAPI, Answer: &Answer{
		Status: status,
		Header: http.Header{"Content-Type": {"application/json;charset=UTF-8"}},
		Body:   string(restErrors(code, message)),
	}}.named("%d %s", status, code)
}

// Unavailable answers an API call 503 SERVER_UNAVAILABLE.
func Unavailable() Fault {
	return APIError(http.StatusServiceUnavailable, "SERVER_UNAVAILABLE", "Server is busy, try again later")
}

// Slow delays an API's answer.
func Slow(d time.Duration) Fault { return DelayBefore(d).On(EndpointAPI) }
