package journal_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/journal"
	"github.com/sallyport/sallyport/tokens/tokenstest/crashfs"
)

// failOnce fails the n-th op from now (0: the next one) with err.
func failOnce(op crashfs.Op, n int, err error) func(crashfs.Op, string) error {
	return func(o crashfs.Op, _ string) error {
		if o != op {
			return nil
		}
		n--
		if n == -1 {
			return err
		}
		return nil
	}
}

func TestFailure56FullDiskEndsBeginWithNothingToUndo(t *testing.T) {
	fs, k := crashfs.New(1), keyring(t)
	j := open(t, journal.Options{FS: fs, Sealer: k})
	if err := j.Begin(intent("acme", 1)); err != nil {
		t.Fatal(err)
	}
	fs.SetFree(1000)
	err := j.Begin(intent("acme", 2))
	var disk *journal.DiskError
	if !errors.As(err, &disk) || !disk.Full || !errors.Is(err, syscall.ENOSPC) || errors.Is(err, tokens.ErrDegraded) {
		t.Fatalf("Begin on a full disk: %v", err)
	}
	// The room of the first answer was reserved before the disk was full.
	big := append(answerOf("acme-1"), make([]byte, 40<<10)...)
	if err := j.Answer("acme-1", big); err != nil {
		t.Errorf("an answer whose room was reserved: %v", err)
	}
	if _, ids := entries(t, j); !slices.Equal(ids, []tokens.AttemptID{"acme-1"}) || j.Degraded() {
		t.Errorf("entries %v, degraded %v", ids, j.Degraded())
	}
	fs.SetFree(-1)
	if err := j.Begin(intent("acme", 2)); err != nil {
		t.Errorf("Begin once there is room: %v", err)
	}
	// No trace of the refused one is on the disk either.
	m, _ := entries(t, open(t, journal.Options{FS: fs.Crash(), Sealer: k}))
	if len(m) != 2 || string(m["acme-1"].Answer) != string(big) {
		t.Errorf("after a crash: %d entries", len(m))
	}
}

// TestFailure56FullDiskWithoutReservation is a file system without fallocate:
// ENOSPC comes in the midst of a write.
func TestFailure56FullDiskWithoutReservation(t *testing.T) {
	fs, k := crashfs.New(1), keyring(t)
	fs.NoReserve = true
	j := open(t, journal.Options{FS: fs, Sealer: k})
	if err := j.Begin(intent("acme", 1)); err != nil {
		t.Fatal(err)
	}
	fs.SetFree(100)
	if err := j.Begin(intent("acme", 2)); !errors.Is(err, syscall.ENOSPC) || j.Degraded() {
		t.Fatalf("Begin: %v, degraded %v", err, j.Degraded())
	}
	if err := j.Answer("acme-1", answerOf("acme-1")); !errors.Is(err, syscall.ENOSPC) || j.Degraded() {
		t.Fatalf("Answer: %v, degraded %v", err, j.Degraded())
	}
	fs.SetFree(-1)
	if err := j.Begin(intent("acme", 3)); err != nil {
		t.Fatal(err)
	}
	if err := j.Answer("acme-1", answerOf("acme-1")); err != nil {
		t.Fatal(err)
	}
	j = open(t, journal.Options{FS: fs.Crash(), Sealer: k})
	m, ids := entries(t, j)
	if !slices.Equal(ids, []tokens.AttemptID{"acme-1", "acme-3"}) || m["acme-1"].Answer == nil {
		t.Errorf("entries %v", ids)
	}
}

// TestFailure56AFullDiskFailsTheBeginAndNotTheAnswerBesideIt: both are in one
// write, and only one of them can be undone.
func TestFailure56AFullDiskFailsTheBeginAndNotTheAnswerBesideIt(t *testing.T) {
	fs, k := crashfs.New(1), keyring(t)
	fs.NoReserve = true
	j := open(t, journal.Options{FS: fs, Sealer: k})
	for gen := range int64(2) {
		if err := j.Begin(intent("acme", gen+1)); err != nil {
			t.Fatal(err)
		}
	}
	fs.SetFree(5000)
	// A Begin that fsyncs slowly lets the next Begin and Answer come together.
	slow, waits := make(chan struct{}), make(chan struct{})
	once := sync.OnceFunc(func() { close(waits); <-slow })
	fs.Fail(func(op crashfs.Op, _ string) error {
		if op == crashfs.OpSync {
			once()
		}
		return nil
	})
	var wg sync.WaitGroup
	var begun, answered error
	wg.Go(func() {
		if err := j.Begin(intent("acme", 3)); err != nil {
			t.Error(err)
		}
	})
	<-waits
	wg.Go(func() {
		e := intent("acme", 4)
		e.Record.Detail = strings.Repeat("long ", 2000)
		begun = j.Begin(e)
	})
	wg.Go(func() { answered = j.Answer("acme-1", answerOf("acme-1")) })
	journal.WaitQueued(j, 2)
	close(slow)
	wg.Wait()
	if !errors.Is(begun, syscall.ENOSPC) || answered != nil {
		t.Errorf("Begin: %v, Answer: %v", begun, answered)
	}
	m, _ := entries(t, open(t, journal.Options{FS: fs.Crash(), Sealer: k}))
	if _, ok := m["acme-4"]; ok || m["acme-1"].Answer == nil {
		t.Errorf("entries %v", m)
	}
}

func TestFailure56AFullDiskAtTheStartServesWhatIsThere(t *testing.T) {
	fs, k := crashfs.New(1), keyring(t)
	j := open(t, journal.Options{FS: fs, Sealer: k})
	if err := j.Begin(intent("acme", 1)); err != nil {
		t.Fatal(err)
	}
	if err := j.Answer("acme-1", answerOf("acme-1")); err != nil {
		t.Fatal(err)
	}
	fs = fs.Crash()
	fs.SetFree(0)
	j = open(t, journal.Options{FS: fs, Sealer: k})
	if m, _ := entries(t, j); m["acme-1"].Answer == nil || j.Degraded() {
		t.Fatalf("entries %v, degraded %v", m, j.Degraded())
	}
	if err := j.Begin(intent("acme", 2)); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Begin: %v", err)
	}
	fs.SetFree(-1)
	exchange(t, j, intent("acme", 2), tokens.OutcomeIssued)
	if m, _ := entries(t, open(t, journal.Options{FS: fs.Crash(), Sealer: k})); m["acme-1"].Answer == nil || m["acme-2"].Answer == nil {
		t.Errorf("entries %v", m)
	}
}

// TestFailure56AFailedFsyncIsNotRepeated: the kernel has dropped the pages, so
// that an fsync which then succeeds means nothing.
func TestFailure56AFailedFsyncIsNotRepeated(t *testing.T) {
	for seed := range uint64(30) {
		fs, k := crashfs.New(seed), keyring(t)
		j := open(t, journal.Options{FS: fs, Sealer: k})
		exchange(t, j, intent("acme", 1), tokens.OutcomeIssued) // its settle waits for an fsync
		if err := j.Begin(intent("acme", 2)); err != nil {
			t.Fatal(err)
		}
		syncs := map[string]int{}
		once := failOnce(crashfs.OpSync, 0, syscall.EIO)
		fs.Fail(func(op crashfs.Op, name string) error {
			if op == crashfs.OpSync {
				syncs[name]++
			}
			return once(op, name)
		})
		if err := j.Answer("acme-2", answerOf("acme-2")); err != nil {
			t.Fatalf("Answer must go on in a new file: %v", err)
		}
		if !j.Degraded() {
			t.Error("not degraded")
		}
		if err := j.Begin(intent("acme", 3)); !errors.Is(err, tokens.ErrDegraded) {
			t.Errorf("Begin on a disk that failed: %v", err)
		}
		if err := j.Settle("acme-2", tokens.OutcomeIssued); err != nil {
			t.Error(err)
		}
		files := 0
		for name, n := range syncs {
			if files++; strings.HasSuffix(name, "1") && n != 1 {
				t.Errorf("%d fsyncs of the file whose fsync failed", n)
			}
		}
		if files != 2 {
			t.Errorf("fsyncs of %v", syncs)
		}
		j2 := open(t, journal.Options{FS: fs.Crash(), Sealer: k})
		m, ids := entries(t, j2)
		if string(m["acme-2"].Answer) != string(answerOf("acme-2")) || len(ids) != 2 || j2.Degraded() {
			t.Fatalf("seed %d: after a crash %v", seed, ids)
		}
		exchange(t, j2, intent("acme", 3), tokens.OutcomeIssued) // a new start on a sound disk
	}
}

// TestFailure56AFailedFsyncOfABegin: the caller was told that nothing began,
// whatever the disk holds of it.
func TestFailure56AFailedFsyncOfABegin(t *testing.T) {
	for seed := range uint64(100) {
		fs, k := crashfs.New(seed), keyring(t)
		j := open(t, journal.Options{FS: fs, Sealer: k})
		exchange(t, j, intent("acme", 1), tokens.OutcomeIssued)
		if seed%2 == 0 { // nothing else waits for an fsync
			if err := j.Begin(intent("umbrella", 1)); err != nil {
				t.Fatal(err)
			}
		}
		fs.Fail(failOnce(crashfs.OpSync, 0, syscall.EIO))
		if err := j.Begin(intent("acme", 2)); !errors.Is(err, tokens.ErrDegraded) || !errors.Is(err, syscall.EIO) {
			t.Fatalf("Begin: %v", err)
		}
		m, _ := entries(t, open(t, journal.Options{FS: fs.Crash(), Sealer: k}))
		if e, ok := m["acme-2"]; ok && !e.Settled {
			t.Fatalf("seed %d: a doubt out of nothing: %+v", seed, e)
		}
		if m["acme-1"].Answer == nil {
			t.Fatalf("seed %d: the answer before it is gone", seed)
		}
	}
}

func TestFailure56WhenEveryFsyncFailsTheAnswerSaysSo(t *testing.T) {
	fs, k := crashfs.New(1), keyring(t)
	j := open(t, journal.Options{FS: fs, Sealer: k})
	if err := j.Begin(intent("acme", 1)); err != nil {
		t.Fatal(err)
	}
	fs.Fail(func(op crashfs.Op, _ string) error {
		if op == crashfs.OpSync {
			return syscall.EIO
		}
		return nil
	})
	err := j.Answer("acme-1", answerOf("acme-1"))
	if !errors.Is(err, tokens.ErrDegraded) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("Answer: %v", err)
	}
	if strings.Contains(err.Error(), "next-of") {
		t.Errorf("the error shows the answer: %v", err)
	}
	fs.Fail(nil)
	if err := j.Answer("acme-1", answerOf("acme-1")); err != nil {
		t.Errorf("Answer, tried again: %v", err)
	}
	if m, _ := entries(t, open(t, journal.Options{FS: fs.Crash(), Sealer: k})); m["acme-1"].Answer == nil {
		t.Error("the answer that was promised then is gone")
	}
}

// TestACompactionThatFailsAtAnyStepLosesNothing fails each operation of a
// compaction in turn, goes on, and loses power.
func TestACompactionThatFailsAtAnyStepLosesNothing(t *testing.T) {
	k := keyring(t)
	for seed := range uint64(20) {
		for _, op := range []crashfs.Op{
			crashfs.OpCreate, crashfs.OpWrite, crashfs.OpSync, crashfs.OpRename, crashfs.OpSyncDir, crashfs.OpRemove,
		} {
			fs := crashfs.New(seed)
			j := open(t, journal.Options{FS: fs, Sealer: k})
			exchange(t, j, intent("acme", 1), tokens.OutcomeIssued)
			if err := j.Begin(intent("acme", 2)); err != nil {
				t.Fatal(err)
			}
			n := 0
			fs.Fail(failOnce(op, n, syscall.EIO))
			ferr := j.Forget("nobody")
			if op != crashfs.OpRemove && !errors.Is(ferr, syscall.EIO) {
				t.Fatalf("%s: Forget: %v", op, ferr)
			}
			if err := j.Answer("acme-2", answerOf("acme-2")); err != nil {
				t.Fatalf("%s: Answer after it: %v", op, err)
			}
			m, _ := entries(t, open(t, journal.Options{FS: fs.Crash(), Sealer: k}))
			if m["acme-2"].Answer == nil || m["acme-1"].Answer == nil {
				t.Fatalf("seed %d: a failed %s lost %v", seed, op, m)
			}
		}
	}
}
