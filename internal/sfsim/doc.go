// Package sfsim is a Salesforce that runs inside a test: the OAuth endpoints,
// enough of each API to see how a session is carried and how it dies, the Pub/Sub
// API over gRPC, the resources that stage and rotate an app's credentials, and a
// ledger of everything that reached it.
//
// It is the judge of this module and therefore shares no code with it: it
// imports only the standard library; gRPC is framed by hand. It is strict where
// Salesforce is strict. Where Salesforce's behaviour could not be verified there
// is a switch, see [Switches], whose default is the likelier or the harsher
// reading.
//
// Not modelled: device approval, dynamic client registration, Data Cloud tokens,
// Apex and SOQL that print session ids, sites' own login pages, and which org
// owns an app.
//
// A [Sim] is an [http.Handler] that routes by the Host header. It can be called
// directly, which works under testing/synctest; through [Sim.Transport], a
// RoundTripper without a network; or over real TLS, see [Sim.Start].
package sfsim
