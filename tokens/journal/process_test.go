package journal_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/journal"
	"github.com/sallyport/sallyport/tokens/tokenstest/crashfs"
)

// childDir names the journal that the re-executed test binary opens.
const childDir = "SALLYPORT_TEST_JOURNAL"

func TestMain(m *testing.M) {
	if d := os.Getenv(childDir); d != "" {
		child(d)
		return
	}
	os.Exit(m.Run())
}

// child opens the journal, says so, begins one exchange, and waits to be
// killed.
func child(d string) {
	j, err := journal.Open(journal.Options{Dir: d, Sealer: clear{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	e := intent("acme", 1)
	if err := errors.Join(j.Begin(e), j.Answer(e.Attempt, answerOf(e.Attempt))); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("open")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		fmt.Println(err)
	}
}

// clear seals nothing: two processes have no keyset in common here.
type clear struct{}

func (clear) Seal(b []byte, _, _ string) ([]byte, error) { return b, nil }
func (clear) Open(b []byte, _, _ string) ([]byte, error) { return b, nil }

// TestFailure56TwoProcesses has another process hold the journal, and kills it.
func TestFailure56TwoProcesses(t *testing.T) {
	d := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+d)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if said, err := bufio.NewReader(out).ReadString('\n'); err != nil || said != "open\n" {
		t.Fatalf("the other process said %q, %v", said, err)
	}
	_, err = journal.Open(journal.Options{Dir: d, Sealer: clear{}})
	var locked *journal.LockedError
	if !errors.As(err, &locked) || !errors.Is(err, journal.ErrLocked) || locked.PID != cmd.Process.Pid {
		t.Errorf("a second process: %v", err)
	}
	if err == nil || !strings.Contains(err.Error(), fmt.Sprint("process ", cmd.Process.Pid)) {
		t.Errorf("the error doesn't name the process: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	j := open(t, journal.Options{Dir: d, Sealer: clear{}})
	if m, _ := entries(t, j); string(m["acme-1"].Answer) != string(answerOf("acme-1")) {
		t.Error("the answer of the killed process is gone")
	}
	if _, err := journal.Open(journal.Options{Dir: d, Sealer: clear{}}); !errors.Is(err, journal.ErrLocked) {
		t.Errorf("a second open in one process: %v", err)
	}
}

func TestWritersShareAnFsync(t *testing.T) {
	const writers, each = 16, 10
	fs, k := crashfs.New(1), keyring(t)
	j := open(t, journal.Options{FS: fs, Sealer: k})
	gate, first, syncs := make(chan struct{}), true, 0
	fs.Fail(func(op crashfs.Op, _ string) error {
		if op == crashfs.OpSync {
			if first { // the first fsync is slow, until all others wait
				<-gate
				first = false
			}
			syncs++
		}
		return nil
	})
	var wg sync.WaitGroup
	started := make(chan struct{}, writers)
	for w := range writers {
		wg.Go(func() {
			started <- struct{}{}
			for gen := range int64(each) {
				e := intent(fmt.Sprintf("org%d", w), gen+1)
				if err := errors.Join(j.Begin(e), j.Answer(e.Attempt, answerOf(e.Attempt)), j.Settle(e.Attempt, tokens.OutcomeIssued)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range writers {
		<-started
	}
	close(gate)
	wg.Wait()
	if syncs >= 2*writers*each {
		t.Errorf("%d fsyncs for %d durable writes", syncs, 2*writers*each)
	}
	if m, _ := entries(t, open(t, journal.Options{FS: fs.Crash(), Sealer: k})); len(m) != writers*each {
		t.Errorf("%d of %d entries", len(m), writers*each)
	}
}

func BenchmarkExchange(b *testing.B) {
	j := open(b, journal.Options{Dir: b.TempDir(), Sealer: keyring(b)})
	var gen int64
	for b.Loop() {
		gen++
		exchange(b, j, intent("acme", gen), tokens.OutcomeIssued)
	}
}

func BenchmarkExchangeOfManyOrgs(b *testing.B) {
	j := open(b, journal.Options{Dir: b.TempDir(), Sealer: keyring(b)})
	b.SetParallelism(16)
	var mu sync.Mutex
	n := 0
	b.RunParallel(func(pb *testing.PB) {
		mu.Lock()
		n++
		org := fmt.Sprintf("org%d", n)
		mu.Unlock()
		for gen := int64(1); pb.Next(); gen++ {
			exchange(b, j, intent(org, gen), tokens.OutcomeIssued)
		}
	})
}
