// Package simtest is a deterministic simulation of the rotation of refresh
// tokens: several brokers, each with the real journal on a file system that
// crashes, one store that loses writes, and a Salesforce in memory, under
// virtual time. A seed makes a [Scenario], which is a list of steps and faults;
// [Run] plays it and says which promises were broken.
//
// Everything that a broker asks of the world goes through a gate (gate.go). A
// call waits there until every goroutine is at rest, and one call at a time is
// let through, so that a scenario plays the same way each time, and a fault can
// be put between any two of them.
package simtest
