// Package egressplan compares the addresses that calls leave by with those that Salesforce was told of in an app's
// refresh token IP allowlist, and plans how to bring the two together without a moment in which an exchange is refused.
//
// It is pure: no clock, no I/O. What Salesforce has registered is what an operator says; Salesforce has no API that
// tells it.
package egressplan
