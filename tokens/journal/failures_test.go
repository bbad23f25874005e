package journal_test

import (
	"errors"
	"slices"
	"syscall"
	"testing"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/journal"
	"github.com/sallyport/sallyport/tokens/tokenstest/crashfs"
)

// An answer that was promised survives a loss of power whatever the disk makes
// of what no fsync covered.
func TestFailure07AnAnswerThatWasPromisedSurvivesALossOfPower(t *testing.T) {
	for seed := range uint64(20) {
		fs, k := crashfs.New(seed), keyring(t)
		j := open(t, journal.Options{FS: fs, Sealer: k})
		if err := errors.Join(j.Begin(intent("acme", 1)), j.Answer("acme-1", answerOf("acme-1"))); err != nil {
			t.Fatal(err)
		}
		if m, _ := entries(t, open(t, journal.Options{FS: fs.Crash(), Sealer: k})); string(m["acme-1"].Answer) != string(answerOf("acme-1")) {
			t.Fatalf("seed %d: the answer is gone", seed)
		}
	}
}

func TestFailure05AnIntentThatWasPromisedSurvivesALossOfPower(t *testing.T) {
	for seed := range uint64(20) {
		fs, k := crashfs.New(seed), keyring(t)
		j := open(t, journal.Options{FS: fs, Sealer: k})
		if err := j.Begin(intent("acme", 1)); err != nil {
			t.Fatal(err)
		}
		if _, ids := entries(t, open(t, journal.Options{FS: fs.Crash(), Sealer: k})); !slices.Contains(ids, tokens.AttemptID("acme-1")) {
			t.Fatalf("seed %d: the intent is gone", seed)
		}
	}
}

func TestFailure41AJournalOfANewerVersionIsLeftAlone(t *testing.T) {
	fs, k := crashfs.New(1), keyring(t)
	j := open(t, journal.Options{FS: fs, Sealer: k})
	e := intent("acme", 1)
	e.Record.Schema = tokens.Schema + 1
	exchange(t, j, e, tokens.OutcomeIssued)
	j.Close()
	var newer *journal.FormatError
	if _, err := journal.Open(journal.Options{Dir: dir, FS: fs, Sealer: k}); !errors.As(err, &newer) {
		t.Errorf("Open: %v", err)
	}
}

func TestFailure49CompactionKeepsTheNewestAnswerAndIntentOfEachOrg(t *testing.T) {
	fs, k := crashfs.New(1), keyring(t)
	j := open(t, journal.Options{FS: fs, Sealer: k})
	for gen := range int64(3) {
		exchange(t, j, intent("acme", gen+1), tokens.OutcomeIssued)
	}
	if err := errors.Join(j.Begin(intent("acme", 4)), j.Settle("acme-4", tokens.OutcomeNotSent), j.Forget("nobody")); err != nil {
		t.Fatal(err)
	}
	m, ids := entries(t, j)
	if !slices.Equal(ids, []tokens.AttemptID{"acme-3", "acme-4"}) || m["acme-3"].Answer == nil {
		t.Errorf("kept %v, want the newest answer and the newest intent", ids)
	}
}

// The disk is full but for the room that an intent has reserved.
func TestFailure56TheRoomOfAnAnswerIsReserved(t *testing.T) {
	fs, k := crashfs.New(1), keyring(t)
	j := open(t, journal.Options{FS: fs, Sealer: k})
	if err := j.Begin(intent("acme", 1)); err != nil {
		t.Fatal(err)
	}
	fs.SetFree(0)
	if err := j.Begin(intent("acme", 2)); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("another intent: %v", err)
	}
	if err := j.Answer("acme-1", append(answerOf("acme-1"), make([]byte, 40<<10)...)); err != nil {
		t.Errorf("the answer has no room: %v", err)
	}
}

func TestFailure56NothingBeginsOnADiskThatFailed(t *testing.T) {
	fs, k := crashfs.New(1), keyring(t)
	j := open(t, journal.Options{FS: fs, Sealer: k})
	if err := j.Begin(intent("acme", 1)); err != nil {
		t.Fatal(err)
	}
	fs.Fail(failOnce(crashfs.OpSync, 0, syscall.EIO))
	if err := j.Answer("acme-1", answerOf("acme-1")); err != nil {
		t.Errorf("the answer didn't go on in a new file: %v", err)
	}
	if err := j.Begin(intent("acme", 2)); !errors.Is(err, tokens.ErrDegraded) {
		t.Errorf("an intent on a disk that failed: %v", err)
	}
}

func TestFailure56AJournalIsOneProcesss(t *testing.T) {
	d, k := t.TempDir(), keyring(t)
	open(t, journal.Options{Dir: d, Sealer: k})
	if _, err := journal.Open(journal.Options{Dir: d, Sealer: k}); !errors.Is(err, journal.ErrLocked) {
		t.Errorf("a second one: %v", err)
	}
}
