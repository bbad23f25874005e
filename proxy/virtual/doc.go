// Package virtual is the token endpoint that sallyport answers itself: it reads what a client with an OAuth of its own
// posts and renders what Salesforce would have answered, with a placeholder instead of an access token.
//
// Everything here is a decision on its arguments: no clock, no network, no registry; the one effect is that a request's
// body is read, up to 64 KiB. The proxy routes ([Endpoint], [SOAP]), knows the client and chooses the org, makes the
// [Claim] of a placeholder and writes the answer.
//
// A client's credentials are dummies here. They are checked for presence, as RFC 6749 has it, and otherwise not looked
// at; none of them is returned, rendered, or part of an error. Nothing but a placeholder is ever rendered as a token.
package virtual
