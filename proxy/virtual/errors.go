package virtual

import (
	"net/http"
	"strings"
)

// Error codes of OAuth (RFC 6749, sections 4.1.2.1 and 5.2) and of Salesforce's token endpoint.
const (
	codeInvalidRequest   = "invalid_request"
	codeInvalidClient    = "invalid_client"
	codeInvalidGrant     = "invalid_grant"
	codeUnsupportedGrant = "unsupported_grant_type"
	codeUnauthorized     = "unauthorized_client"
	codeServerError      = "server_error"
	codeUnavailable      = "temporarily_unavailable"
	codeRateLimit        = "rate_limit_exceeded"
)

// oauthCodes are written as they are; any other code is one of sallyport's own.
var oauthCodes = map[string]bool{
	codeInvalidRequest: true, codeInvalidClient: true, codeInvalidGrant: true, codeUnsupportedGrant: true,
	codeUnauthorized: true, codeServerError: true, codeUnavailable: true, codeRateLimit: true,
}

// retryable are those of sallyport's own codes that pass by themselves although their status doesn't say so.
var retryable = map[string]bool{"upstream_unreachable": true}

// Error says why a request to an endpoint can't be answered as if Salesforce had. Nothing that the client sent is in it.
// A status of 500 or more means that sending the same again is safe and may help; any other that it won't.
type Error struct {
	// Format is the one that the client asked for, as far as its request could be read.
	Format Format
	// Status is HTTP's.
	Status int
	// Code is OAuth's.
	Code string
	// Description says what is wrong and what to do.
	Description string
}

// Error returns the code and the description.
func (e *Error) Error() string { return e.Code + ": " + e.Description }

// Render returns e as the answer to the request, for e.Status.
func (e *Error) Render() (contentType string, body []byte) {
	return RenderError(e.Format, e.Status, e.Code, e.Description)
}

// invalid is an Error that the client must mend.
func invalid(code, description string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: code, Description: description}
}

// RenderError returns the OAuth form of a refusal: {"error":…,"error_description":…} in format. A code of OAuth's is
// written as it is. One of sallyport's own (org_ambiguous, reauth_required, …) goes before the message, as
// SALLYPORT_REAUTH_REQUIRED, and in its place stands the code of OAuth's that makes a client do the right thing at
// status:
//
//   - temporarily_unavailable, or rate_limit_exceeded at 429: come again
//   - server_error at any other 5xx: a person has work to do here, and the client's credentials are to be kept. It is
//     never invalid_grant, upon which clients throw them away
//   - unauthorized_client, invalid_client or invalid_request at 4xx: the client's configuration is to be mended
//
// The Mobile SDK logs its user out at every 400, 401 and 403 of a token endpoint, so whatever passes by itself must have
// a status of 429 or from 500 on. message must hold nothing that a client sent.
func RenderError(format Format, status int, code, message string) (contentType string, body []byte) {
	if !oauthCodes[code] {
		message = "SALLYPORT_" + strings.ToUpper(code) + ": " + message
		code = oauthCode(status, retryable[code])
	}
	var f fields
	f.add("error", code)
	f.add("error_description", message)
	return f.render(format)
}

func oauthCode(status int, passes bool) string {
	switch {
	case status == http.StatusTooManyRequests:
		return codeRateLimit
	case passes, status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		return codeUnavailable
	case status >= http.StatusInternalServerError:
		return codeServerError
	case status == http.StatusForbidden:
		return codeUnauthorized
	case status == http.StatusUnauthorized, status == http.StatusProxyAuthRequired:
		return codeInvalidClient
	default:
		return codeInvalidRequest
	}
}
