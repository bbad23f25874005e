// Package sfsim is a Salesforce that runs inside a test: the OAuth endpoints,
// enough of each API to see how a session is carried and how it dies, and a
// ledger of everything that reached it.
//
// It is the judge of this module and therefore shares no code with it: it
// imports only the standard library. It is strict where Salesforce is strict.
// Where Salesforce's behaviour could not be verified there is a switch, see
// [Switches], whose default is the likelier or the harsher reading.
//
// A [Sim] is an [http.Handler] that routes by the Host header. It can be called
// directly, which works under testing/synctest; through [Sim.Transport], a
// RoundTripper without a network; or over real TLS, see [Sim.Start].
package sfsim
