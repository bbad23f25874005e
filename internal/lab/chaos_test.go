package lab_test

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"
)

// How a chaos run is asked for. The moments of a run are real ones, so that a
// seed repeats the faults and their order, not their interleaving.
var (
	chaosLong = flag.Duration("chaos", 0, "how long faults are done to real processes in each topology (0: a few seconds)")
	chaosSeed = flag.Uint64("seed", 1, "of the faults of a chaos run")
	chaosOnly = flag.String("faults", "", "a regular expression: which faults a chaos run does (empty: all)")
	chaosSays = flag.String("chaoslog", "warn", "how much the replicas of a chaos run say, in the test's artifacts")
)

// Short waits, or a run would be hours long. Their proportions are the defaults'.
var chaosEnv = []string{
	"SALLYPORT_EXCHANGE_TIMEOUT=1s", "SALLYPORT_TAKEOVER_AFTER=2s", "SALLYPORT_SETTLING_TIME=3s", "SALLYPORT_LOCK_TTL=1s",
	"SALLYPORT_IN_DOUBT=ask", "SALLYPORT_IN_DOUBT_PAUSE=200ms", "SALLYPORT_MAX_EXCHANGES=100000", "SALLYPORT_TOKEN_WAIT=20s",
	"SALLYPORT_LOG_FORMAT=text",
}

// chaosSize is how much of each figure a run measures.
type chaosSize struct {
	crowds, handovers, steadyCalls int
	// life is that of an access token: a JWT with a fixed end, so that callers who
	// never stop see it expire.
	life          time.Duration
	faults, pause time.Duration // how long, and the longest pause between two
}

func sizeOf() chaosSize {
	if *chaosLong == 0 {
		return chaosSize{handovers: 5, steadyCalls: 2_000, life: 5 * time.Second, faults: 7 * time.Second, pause: 300 * time.Millisecond}
	}
	return chaosSize{crowds: 5, handovers: 40, steadyCalls: 100_000, life: 12 * time.Second, faults: *chaosLong, pause: 2500 * time.Millisecond}
}

// TestChaosOnOneRedis measures four real replicas on one Redis while all is
// well, then does them harm without end: kill -9, SIGSTOP, Redis killed, emptied
// and restored from an old state, replicas cut off, sessions killed and answers
// lost. Salesforce's ledger judges.
func TestChaosOnOneRedis(t *testing.T) {
	c := newChaos(t, startAlone(t))
	c.begin()
	c.crowds(c.size.crowds)
	c.handovers(c.size.handovers)
	c.steady(c.size.steadyCalls)
	c.harm(c.size.faults)
	c.converge()
	c.judge()
}

// TestChaosUnderSentinel does the same where Sentinel fails over, to a server
// that may lack the last writes.
func TestChaosUnderSentinel(t *testing.T) {
	c := newChaos(t, startSentinel(t))
	c.begin()
	c.harm(c.size.faults)
	c.converge()
	c.judge()
}

// dice are drawn by one goroutine alone.
type dice struct{ *rand.Rand }

func (d dice) between(least, most time.Duration) time.Duration {
	return least + time.Duration(d.Int64N(int64(most-least)))
}

func (d dice) chance(percent int) bool { return d.IntN(100) < percent }
