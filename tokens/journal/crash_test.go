package journal_test

import (
	"fmt"
	"testing"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/journal"
	"github.com/sallyport/sallyport/tokens/tokenstest/crashfs"
)

// promise is what a journal has promised of each attempt.
type promise struct{ begun, answered map[tokens.AttemptID]bool }

func newPromise() promise {
	return promise{map[tokens.AttemptID]bool{}, map[tokens.AttemptID]bool{}}
}

// work exchanges until something fails, and notes what was promised. Small
// files make it compact on the way.
func (p promise) work(fs *crashfs.FS, k *secret.Keyring, from, n int64) error {
	j, err := journal.Open(journal.Options{Dir: dir, FS: fs, Sealer: k, CompactAbove: 3 << 10})
	if err != nil {
		return err
	}
	defer j.Close()
	for gen := from; gen < from+n; gen++ {
		for _, org := range []string{"acme", "umbrella"} {
			e := intent(org, gen)
			if err := j.Begin(e); err != nil {
				return err
			}
			p.begun[e.Attempt] = true
			if err := j.Answer(e.Attempt, answerOf(e.Attempt)); err != nil {
				return err
			}
			p.answered[e.Attempt] = true
			if org == "umbrella" && gen%3 == 0 {
				continue // never settled
			}
			if err := j.Settle(e.Attempt, tokens.OutcomeIssued); err != nil {
				return err
			}
		}
		if gen%4 == 0 {
			if err := j.Forget("nobody"); err != nil {
				return err
			}
		}
	}
	return nil
}

// check opens the journal and looks for what was promised: each answer that is
// the newest of its org, or was never settled, and each unanswered intent.
func (p promise) check(t *testing.T, fs *crashfs.FS, k *secret.Keyring) {
	t.Helper()
	j, err := journal.Open(journal.Options{Dir: dir, FS: fs, Sealer: k})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if j.Degraded() {
		t.Fatal("a crash was taken for damage")
	}
	m, _ := entries(t, j)
	newest := map[tokens.OrgID]int64{}
	for id := range p.answered {
		org, gen := parseID(t, id)
		newest[org] = max(newest[org], gen)
	}
	for id := range p.begun {
		org, gen := parseID(t, id)
		kept := gen >= newest[org] || org == "umbrella" && gen%3 == 0
		switch e, ok := m[id]; {
		case !kept:
		case !ok || e.Record.Fingerprint != "fp-"+string(id):
			t.Fatalf("intent %s was promised and is gone", id)
		case p.answered[id] && string(e.Answer) != string(answerOf(id)):
			t.Fatalf("the answer of %s was promised and is gone: %q", id, e.Answer)
		}
	}
}

func parseID(t *testing.T, id tokens.AttemptID) (tokens.OrgID, int64) {
	t.Helper()
	for _, org := range []string{"acme", "umbrella"} {
		var gen int64
		if n, _ := fmt.Sscanf(string(id), org+"-%d", &gen); n == 1 {
			return tokens.OrgID(org), gen
		}
	}
	t.Fatalf("attempt %s", id)
	return "", 0
}

// TestFailure05to07CrashAtEveryWrite loses power in the midst of every
// operation that changes the disk, compaction included, and once more while the
// next process is starting.
func TestFailure05to07CrashAtEveryWrite(t *testing.T) {
	k := keyring(t)
	whole := crashfs.New(0)
	if err := newPromise().work(whole, k, 1, 9); err != nil {
		t.Fatal(err)
	}
	if whole.Ops() < 100 {
		t.Fatalf("only %d operations to crash in", whole.Ops())
	}
	for seed := range uint64(3) {
		for at := range whole.Ops() {
			p, fs := newPromise(), crashfs.New(seed*1000+uint64(at))
			fs.CrashAfter(at)
			if err := p.work(fs, k, 1, 9); err == nil {
				t.Fatalf("no crash at %d of %d", at, whole.Ops())
			}
			fs = fs.Crash()
			fs.CrashAfter(at % 13)
			if err := p.work(fs, k, 10, 1); err == nil && at%13 < 5 {
				t.Fatal("no second crash")
			}
			fs = fs.Crash()
			p.check(t, fs, k)
			if t.Failed() {
				t.Fatalf("seed %d, crash at operation %d", seed, at)
			}
		}
	}
}

// TestAKilledProcessThenALossOfPower: what the next process has read, it has
// made durable, although the first one never could.
func TestAKilledProcessThenALossOfPower(t *testing.T) {
	k := keyring(t)
	for seed := range uint64(40) {
		fs := crashfs.New(seed)
		j, err := journal.Open(journal.Options{Dir: dir, FS: fs, Sealer: k})
		if err != nil {
			t.Fatal(err)
		}
		exchange(t, j, intent("acme", 1), tokens.OutcomeIssued)
		fs = fs.Kill() // the settle is written and not fsynced
		j2 := open(t, journal.Options{FS: fs, Sealer: k})
		if m, _ := entries(t, j2); !m["acme-1"].Settled {
			t.Fatal("a killed process loses what it has written")
		}
		fs = fs.Crash()
		if m, _ := entries(t, open(t, journal.Options{FS: fs, Sealer: k})); !m["acme-1"].Settled {
			t.Fatalf("seed %d: what was read is gone after a loss of power", seed)
		}
	}
}
