// Package redistest runs real Redis servers for tests: alone, with replicas and
// Sentinels, and as a Cluster, each on free loopback ports and in a directory of
// its own, and a proxy that loses, delays and withholds what passes between a
// client and a server.
//
// Run, RunSentinel and RunCluster return errors and serve any program; Start,
// StartSentinel, StartCluster and StartProxy are for tests, and end what they
// started when the test ends. Nothing is ever skipped: without redis-server they
// fail with [ErrMissing].
package redistest
