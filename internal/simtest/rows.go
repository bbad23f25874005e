package simtest

import (
	"time"

	"github.com/sallyport/sallyport/tokens/tokenstest"
)

// takeover is how long a takeover waits: the contract's default.
const takeover = 5 * time.Minute

// row counts the row of failures.md that a fault is, where the moment says so.
func (w *world) row(f Fault) {
	crash := f.Do == "kill" || f.Do == "power" || f.Do == "burn" || f.Do == "midst"
	switch {
	case crash && (f.At == "write" || f.At == "save.done" || f.At == "send"):
		w.cov.row(5)
	case crash && f.At == "sent":
		w.cov.row(6)
	case crash && (f.At == "answer" || f.At == "answer.done" || f.At == "commit" || f.At == "commit.done"):
		w.cov.row(7)
	}
	if crash && (f.At == "settle" || f.At == "commit.done") {
		w.cov.row(48)
	}
	if f.Do == "kill" {
		w.cov.row(43)
	}
	switch f.Do {
	case "pause":
		if (f.At == "sent" || f.At == "answer" || f.At == "commit") && f.For > takeover {
			w.cov.row(2)
		}
	case "cut":
		if (f.At == "answer" || f.At == "commit" || f.At == "sent") && f.For > takeover {
			w.cov.row(47)
		}
	case "refuse", "unknown", "lost", "short":
		if f.At == "commit" {
			w.cov.row(18)
		}
	case "eio", "enospc":
		w.cov.row(56)
	case "authorize", "import":
		if f.At == "sent" || f.At == "answer" || f.At == "commit" || f.At == "write" {
			w.cov.row(23)
		}
	case "regress", "failover", "restore", "empty":
		if f.At == "introspect" || f.At == "introspect.done" {
			w.cov.row(53)
		}
	case "salesforce":
		w.cov.salesforce(tokenstest.Fault(f.N))
	}
}

func (c *Coverage) salesforce(f tokenstest.Fault) {
	switch f {
	case tokenstest.FaultLostBefore, tokenstest.FaultLostAfter:
		c.row(8)
	case tokenstest.FaultTruncated, tokenstest.FaultMalformed:
		c.row(9)
	case tokenstest.FaultUnclear:
		c.row(10)
	case tokenstest.FaultUnclearBefore:
		c.row(11)
	case tokenstest.FaultAddress:
		c.row(32)
	case tokenstest.FaultClient, tokenstest.FaultClientSpent:
		c.row(33)
	case tokenstest.FaultLate:
		c.row(8)
		c.row(45)
	case tokenstest.FaultNone, tokenstest.FaultConnect, tokenstest.FaultUnwritten, tokenstest.FaultBusy, tokenstest.FaultRate, tokenstest.FaultDead,
		tokenstest.FaultNoRotation, tokenstest.FaultExpired, tokenstest.FaultSlow:
	}
}

// silence counts a question that nobody answered believably.
func (c *Coverage) silence(how tokenstest.Introspection) {
	switch how {
	case tokenstest.IntrospectionDown:
		c.row(44)
	case tokenstest.IntrospectionDenied:
		c.row(52)
	case tokenstest.IntrospectionTrue:
	}
}
