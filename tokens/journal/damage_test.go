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

// filled makes a journal with three answers and returns its one file.
func filled(t *testing.T, o journal.Options, fs *crashfs.FS) string {
	t.Helper()
	j := open(t, o)
	for gen := range int64(3) {
		exchange(t, j, intent("acme", gen+1), tokens.OutcomeIssued)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	names := slices.DeleteFunc(fs.Names(), func(n string) bool { return !isFile(n) })
	if len(names) != 1 {
		t.Fatalf("files %v", names)
	}
	return names[0]
}

func TestATornTailIsDroppedWhereverItIsTorn(t *testing.T) {
	k := keyring(t)
	first := crashfs.New(1)
	name := filled(t, journal.Options{FS: first, Sealer: k}, first)
	b, err := first.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	frames := slices.Collect(starts(b))
	last := frames[len(frames)-1]
	for cut := last; cut < len(b); cut++ {
		for what, tail := range map[string][]byte{
			"cut":            b[:cut],
			"cut, and zeros": append(slices.Clone(b[:cut]), make([]byte, len(b)-cut)...),
		} {
			fs := crashfs.New(2)
			f, err := fs.Create(name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write(tail); err != nil {
				t.Fatal(err)
			}
			j := open(t, journal.Options{FS: fs, Sealer: k})
			m, ids := entries(t, j)
			if len(ids) != 3 || m["acme-3"].Answer == nil || m["acme-3"].Settled || !m["acme-2"].Settled || j.Degraded() {
				t.Fatalf("%s at %d of %d: %v, degraded %v", what, cut, len(b), ids, j.Degraded())
			}
			exchange(t, j, intent("acme", 4), tokens.OutcomeIssued)
		}
	}
}

// starts yields where frames begin.
func starts(b []byte) func(func(int) bool) {
	return func(yield func(int) bool) {
		for i := range b {
			if string(b[i:min(i+4, len(b))]) == "\xffSPJ" && !yield(i) {
				return
			}
		}
	}
}

// TestAFlippedBitIsNeverPassedOver flips each byte of what was promised, one at
// a time: the journal must say so, and give back all the rest.
func TestAFlippedBitIsNeverPassedOver(t *testing.T) {
	k := keyring(t)
	for at := 0; ; at++ {
		fs := crashfs.New(1)
		o := journal.Options{FS: fs, Sealer: k}
		name := filled(t, o, fs)
		b, err := fs.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		frames := slices.Collect(starts(b))
		// The last settle isn't fsynced, and no frame says that the last answer
		// is durable: those two can't be told from a torn tail.
		if at += 6; at >= frames[len(frames)-2] {
			return
		}
		fs.Corrupt(name, func(b []byte) []byte { b[at] ^= 4; return b })
		before := fs.Names()
		j := open(t, o)
		var corrupt *journal.CorruptError
		var got []tokens.Entry
		for e, err := range j.Entries() {
			if err != nil {
				if !errors.As(err, &corrupt) || corrupt.File != name || int64(at) < corrupt.Offset || int64(at) >= corrupt.Resume {
					t.Fatalf("byte %d: %v", at, err)
				}
				continue
			}
			got = append(got, e)
		}
		if corrupt == nil {
			t.Fatalf("byte %d was flipped and nobody says so", at)
		}
		answers := 0
		for _, e := range got {
			if e.Answer != nil {
				answers++
			}
		}
		if answers < 2 {
			t.Fatalf("byte %d: only %d answers of 3 came back", at, answers)
		}
		if err := j.Begin(intent("acme", 4)); !errors.Is(err, tokens.ErrDegraded) || !j.Degraded() {
			t.Fatalf("byte %d: an exchange may begin on a damaged journal: %v", at, err)
		}
		if err := j.Forget("acme"); !errors.As(err, &corrupt) {
			t.Fatalf("byte %d: Forget wrote the damage away: %v", at, err)
		}
		if err := j.Settle("acme-3", tokens.OutcomeOrphaned); err != nil {
			t.Fatalf("byte %d: Settle: %v", at, err)
		}
		j.Close()
		for _, n := range before {
			if !slices.Contains(fs.Names(), n) {
				t.Fatalf("byte %d: %s is gone", at, n)
			}
		}
		if again := open(t, o); !again.Degraded() {
			t.Fatalf("byte %d: the damage is forgotten at the next start", at)
		}
	}
}

func TestAFileThatIsGoneIsNoticed(t *testing.T) {
	fs, k := crashfs.New(1), keyring(t)
	o := journal.Options{FS: fs, Sealer: k}
	first := filled(t, o, fs)
	j := open(t, o)
	if err := j.Begin(intent("acme", 4)); err != nil {
		t.Fatal(err)
	}
	fs.Fail(failOnce(crashfs.OpSync, 0, syscall.EIO))
	if err := j.Answer("acme-4", answerOf("acme-4")); err != nil {
		t.Fatal(err)
	}
	j.Close()
	for _, name := range fs.Names() {
		if isFile(name) && name != first {
			if err := fs.Remove(name); err != nil { // the older of two
				t.Fatal(err)
			}
			break
		}
	}
	j = open(t, o)
	var corrupt *journal.CorruptError
	answered := false
	for e, err := range j.Entries() {
		answered = answered || string(e.Answer) == string(answerOf("acme-4"))
		errors.As(err, &corrupt)
	}
	if corrupt == nil || !answered || !j.Degraded() {
		t.Errorf("damage %v, the newer file's answer %v", corrupt, answered)
	}
}

func TestAJournalOfANewerVersionIsLeftAlone(t *testing.T) {
	fs, k := crashfs.New(1), keyring(t)
	j := open(t, journal.Options{FS: fs, Sealer: k})
	e := intent("acme", 1)
	e.Record.Schema = tokens.Schema + 1
	exchange(t, j, e, tokens.OutcomeIssued)
	j.Close()
	before := fs.Ops()
	_, err := journal.Open(journal.Options{Dir: dir, FS: fs, Sealer: k})
	var f *journal.FormatError
	if !errors.As(err, &f) || f.Found != tokens.Schema+1 || fs.Ops() != before {
		t.Errorf("Open: %v, after %d changes", err, fs.Ops()-before)
	}
	// The lock was let go.
	if _, err := journal.Open(journal.Options{Dir: dir, FS: fs, Sealer: k}); !errors.As(err, &f) {
		t.Errorf("Open again: %v", err)
	}
}
