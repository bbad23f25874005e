package simtest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
	"github.com/sallyport/sallyport/tokens/tokenstest/crashfs"
)

// The orgs. The second one has the same app, and is there for grants that are
// brought under two names.
const (
	acme  = tokens.OrgID("acme")
	other = tokens.OrgID("globex")
)

// world is one run of a scenario.
type world struct {
	sc   Scenario
	sf   *tokenstest.Force
	mem  *tokenstest.Mem
	reps []*replica
	rng  *rand.Rand
	cov  *Coverage

	// What follows is the driver's.
	serial  int
	crashes int
	timers  []timed
	counts  map[string]int // calls let through, per point
	fired   []bool         // the faults
	faulty  map[string]bool
	ready   []*call
	snap    tokenstest.Snapshot
	arrived chan struct{}
	denied  bool // introspection lied for a while
	forgot  bool // a person forgot the grant
	foreign bool // somebody else has used the token
	burned  bool // a disk was destroyed, with what only it knew
	misled  bool // after that, or while a replica was not to be reached, a person's word was taken
	disks   bool // a disk was full or failed

	mu      sync.Mutex
	waiting []*call               // guarded by mu
	broken  []string              // guarded by mu: the promises that were broken
	kept    map[string][]*disk    // guarded by mu: on which disks a refresh token was fsynced
	landed  map[string]bool       // guarded by mu: refresh tokens that the store held once
	notes   []string              // guarded by mu: what happened since the driver last moved
	trace   *strings.Builder      // guarded by mu: nil where nobody reads it
	lost    map[tokens.OrgID]bool // guarded by mu: a person was told of another's authorisation
}

// Result is what came of a run.
type Result struct {
	Broken []string // the promises that were broken, empty if none was
	Trace  string   // where it was asked for
	End    End
}

// Run plays a scenario. It counts in cov what took place. It isn't safe for
// concurrent use, since it takes over the process's source of randomness.
func Run(t *testing.T, sc Scenario, cov *Coverage, trace bool) (res Result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cryptotest.SetGlobalRandom(t, sc.Seed)
		w := newWorld(sc, cov)
		if trace {
			w.trace = new(strings.Builder)
		}
		w.play()
		res.End = w.end()
		w.mu.Lock()
		defer w.mu.Unlock()
		res.Broken = w.broken
		if trace {
			w.flush()
			res.Trace = w.trace.String()
		}
	})
	return res
}

func newWorld(sc Scenario, cov *Coverage) *world {
	s := sc.Switches
	w := &world{sc: sc, sf: tokenstest.NewForce(), mem: tokenstest.NewMem(tokenstest.MemOptions{Exclusive: s.Exclusive}),
		rng: rand.New(rand.NewPCG(sc.Seed, 1)), cov: cov, counts: map[string]int{}, fired: make([]bool, len(sc.Faults)),
		faulty: map[string]bool{}, arrived: make(chan struct{}, 1), kept: map[string][]*disk{}, landed: map[string]bool{}, lost: map[tokens.OrgID]bool{}}
	w.sf.Session, w.sf.ReuseOnIntrospect, w.sf.EndsOlder, w.sf.ReplaySpares = s.Session, s.Reuse, s.EndsOlder, s.ReplaySpares
	w.sf.ConfigSpends, w.sf.RevokesAll, w.sf.Slides, w.sf.Codes = s.ConfigSpends, s.RevokesAll, s.Slides, true
	w.sf.Introspecting(s.Introspection)
	w.mem.SetHooks(before, after)
	w.mem.Observe(w.written)
	for _, f := range sc.Faults {
		w.faulty[f.At] = true
	}
	for i := range s.Replicas {
		w.reps = append(w.reps, &replica{index: i, disk: &disk{fs: crashfs.New(w.rng.Uint64())}})
	}
	return w
}

// Settings implements [tokens.Directory].
func (w *world) Settings(org tokens.OrgID) (tokens.Settings, bool) {
	if org != acme && org != other {
		return tokens.Settings{}, false
	}
	return tokens.Settings{Name: string(org), Kind: "refresh_token", SingleUse: true, SessionTimeout: w.sc.Switches.Session, ClientID: "app-" + string(org)}, true
}

// breaks notes that a promise was broken. The run ends with the first.
func (w *world) breaks(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = append(w.broken, fmt.Sprintf(format, args...))
	w.noteLocked("BROKEN: "+format, args...)
}

func (w *world) tracing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.trace != nil
}

func (w *world) log(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.logLocked(format, args...)
}

func (w *world) logLocked(format string, args ...any) {
	if w.trace == nil {
		return
	}
	w.flush()
	fmt.Fprintf(w.trace, "%s ", time.Now().UTC().Format("02 15:04:05.000"))
	fmt.Fprintf(w.trace, format+"\n", args...)
}

// note tells something that happens beside the driver. What happens between two
// of its moves has no order, and is sorted.
func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noteLocked(format, args...)
}

func (w *world) noteLocked(format string, args ...any) {
	if w.trace != nil {
		w.notes = append(w.notes, fmt.Sprintf("%s     "+format+"\n", append([]any{time.Now().UTC().Format("02 15:04:05.000")}, args...)...))
	}
}

// flush writes the notes. The caller holds w.mu.
func (w *world) flush() {
	slices.Sort(w.notes)
	for _, n := range w.notes {
		w.trace.WriteString(n)
	}
	w.notes = w.notes[:0]
}

func (w *world) whole() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.broken) == 0
}

// play does the steps, lets the faults end, and looks at what has become of the
// grant.
func (w *world) play() {
	for _, r := range w.reps {
		w.start(r)
	}
	w.run(time.Second)
	for _, s := range w.sc.Steps {
		if !w.whole() {
			break
		}
		w.log("step %s", s)
		w.step(s)
		w.run(s.Then)
		w.inspect()
	}
	if w.whole() {
		w.mend()
	}
	for _, r := range w.reps {
		if r.proc != nil {
			w.kill(r.proc, "kill", 0)
		}
	}
	<-time.After(10 * time.Minute) // longer than anything that still waits
}

// mend ends all faults and gives every grant the time that it may need.
func (w *world) mend() {
	for i := range w.fired {
		w.fired[i] = true
	}
	w.sf.Introspecting(w.sc.Switches.Introspection)
	w.sf.Forget()
	now := time.Now()
	for _, r := range w.reps {
		r.disk.fs.SetFree(-1)
		if p := r.proc; p != nil {
			p.paused, p.cut = now, now
			if p.journal.Degraded() {
				w.kill(p, "kill", 0)
			}
		}
		w.start(r)
	}
	w.log("all faults end")
	w.run(15 * time.Minute)
	for range 3 {
		for _, o := range []tokens.OrgID{acme, other} {
			w.sf.Kill(o)
		}
		w.calls(-1, 1)
		w.run(w.sc.Switches.Session + 100*time.Minute)
	}
	// Whatever the last look at a token's end began comes to its end as well.
	w.run(w.sc.Switches.Session + 3*time.Hour)
	w.inspect()
}
