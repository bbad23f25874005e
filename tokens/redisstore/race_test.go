//go:build race

package redisstore_test

// race says that the race detector slows everything down.
const race = true
