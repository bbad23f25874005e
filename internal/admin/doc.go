// Package admin is what operators and their programs talk to: the JSON API of the admin listener and the admin socket,
// health and readiness, and the typed [Client] that the command line uses.
//
// Failures are problem details (RFC 9457) with a code; every change is one audit line in the log. No answer, error or
// log line holds a secret, but for the one client secret that was just made.
package admin
