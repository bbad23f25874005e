package journal_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/journal"
	"github.com/sallyport/sallyport/tokens/tokenstest/crashfs"
)

func TestEntriesComeBackMergedAfterARestart(t *testing.T) {
	d, k := filepath.Join(t.TempDir(), "a", "b"), keyring(t)
	j := open(t, journal.Options{Dir: d, Sealer: k})
	replica := j.Replica()
	exchange(t, j, intent("acme", 1), tokens.OutcomeIssued)
	open2 := intent("umbrella", 7)
	if err := j.Begin(open2); err != nil {
		t.Fatal(err)
	}
	if err := j.Answer(open2.Attempt, answerOf(open2.Attempt)); err != nil {
		t.Fatal(err)
	}
	if got := j.Pending(); got != 1 {
		t.Errorf("Pending() = %d with one unsettled answer", got)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}

	j = open(t, journal.Options{Dir: d, Sealer: k})
	if j.Replica() != replica {
		t.Errorf("the same disk is replica %s, was %s", j.Replica(), replica)
	}
	want1, want2 := intent("acme", 1), open2
	want1.Replica, want1.Answer, want1.Settled, want1.Outcome = replica, answerOf(want1.Attempt), true, tokens.OutcomeIssued
	want2.Replica, want2.Answer = replica, answerOf(want2.Attempt)
	var got []tokens.Entry
	for e, err := range j.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	if diff := cmp.Diff([]tokens.Entry{want1, want2}, got); diff != "" {
		t.Error(diff)
	}
	if j.Pending() != 1 || j.Degraded() {
		t.Errorf("Pending() = %d, Degraded() = %v", j.Pending(), j.Degraded())
	}
}

func TestNoAnswerIsReadableOnTheDisk(t *testing.T) {
	d := t.TempDir()
	j := open(t, journal.Options{Dir: d, Sealer: keyring(t)})
	exchange(t, j, intent("acme", 1), tokens.OutcomeIssued)
	for _, name := range list(t, d) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte("next-of-")) {
			t.Errorf("%s shows an answer", name)
		}
	}
}

func TestFilesAreTheOwnersAlone(t *testing.T) {
	d := filepath.Join(t.TempDir(), "journal")
	j := open(t, journal.Options{Dir: d, Sealer: keyring(t)})
	exchange(t, j, intent("acme", 1), tokens.OutcomeIssued)
	info, err := os.Stat(d)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory is %v, %v", info.Mode(), err)
	}
	for _, name := range list(t, d) {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s is %v, %v", name, info.Mode(), err)
		}
	}
	if _, err := journal.Open(journal.Options{Dir: openToOthers(t), Sealer: keyring(t)}); err == nil ||
		!strings.Contains(err.Error(), "written by others") {
		t.Errorf("a directory that others may write into was taken: %v", err)
	}
}

func openToOthers(t *testing.T) string {
	d := t.TempDir()
	if err := os.Chmod(d, 0o777); err != nil {
		t.Fatal(err)
	}
	return d
}

func list(t *testing.T, d string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(d, "*"))
	if err != nil || len(names) < 3 {
		t.Fatalf("the directory has %v, %v", names, err)
	}
	return names
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []journal.Options{{}, {Dir: t.TempDir()}, {Sealer: keyring(t)}} {
		if _, err := journal.Open(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

func TestANewDiskIsANewReplica(t *testing.T) {
	a := open(t, journal.Options{FS: crashfs.New(1), Sealer: keyring(t)})
	b := open(t, journal.Options{FS: crashfs.New(2), Sealer: keyring(t)})
	if a.Replica() == b.Replica() || len(a.Replica()) != 32 {
		t.Errorf("replicas %q and %q", a.Replica(), b.Replica())
	}
}

func TestAReplicaIDThatIsLostIsInTheFiles(t *testing.T) {
	fs, k := crashfs.New(1), keyring(t)
	j := open(t, journal.Options{FS: fs, Sealer: k})
	replica := j.Replica()
	j.Close()
	if err := fs.Remove(filepath.Join(dir, "replica")); err != nil {
		t.Fatal(err)
	}
	if got := open(t, journal.Options{FS: fs, Sealer: k}).Replica(); got != replica {
		t.Errorf("replica %s, was %s", got, replica)
	}
}

func TestAnEphemeralDiskIsKnown(t *testing.T) {
	fs := crashfs.New(1)
	fs.IsEphemeral = true
	if !open(t, journal.Options{FS: fs, Sealer: keyring(t)}).Ephemeral() {
		t.Error("Ephemeral() = false")
	}
}

func TestAnswersFollowTheirAttempt(t *testing.T) {
	j := open(t, journal.Options{FS: crashfs.New(1), Sealer: keyring(t)})
	e := intent("acme", 1)
	if err := j.Answer("nobody", answerOf("nobody")); !errors.Is(err, journal.ErrUnknownAttempt) {
		t.Errorf("an answer without its attempt: %v", err)
	}
	if err := j.Begin(e); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := j.Answer(e.Attempt, answerOf(e.Attempt)); err != nil {
			t.Errorf("the same answer, repeated: %v", err)
		}
	}
	if err := j.Answer(e.Attempt, answerOf("another")); !errors.Is(err, journal.ErrAnswered) {
		t.Errorf("another answer: %v", err)
	}
	if err := j.Answer(e.Attempt, nil); err != nil {
		t.Errorf("an empty answer: %v", err)
	}
	if err := j.Settle("nobody", tokens.OutcomeIssued); err != nil {
		t.Errorf("a settle of what isn't kept: %v", err)
	}
	if m, _ := entries(t, j); string(m[e.Attempt].Answer) != string(answerOf(e.Attempt)) {
		t.Errorf("the answer is %q", m[e.Attempt].Answer)
	}
	if err := j.Begin(tokens.Entry{}); err == nil {
		t.Error("an entry of nothing was taken")
	}
	j.Close()
	for what, err := range map[string]error{
		"Begin": j.Begin(intent("acme", 2)), "Settle": j.Settle(e.Attempt, tokens.OutcomeIssued), "Forget": j.Forget("acme"),
	} {
		if !errors.Is(err, journal.ErrClosed) {
			t.Errorf("%s after Close: %v", what, err)
		}
	}
}

func TestAnAnswerUnderAnotherKeyIsAnErrorNotAnAbsence(t *testing.T) {
	fs := crashfs.New(1)
	j := open(t, journal.Options{FS: fs, Sealer: keyring(t)})
	exchange(t, j, intent("acme", 1), tokens.OutcomeIssued)
	j.Close()
	for e, err := range open(t, journal.Options{FS: fs, Sealer: keyring(t)}).Entries() {
		if err == nil || e.Attempt != "acme-1" || e.Answer != nil {
			t.Errorf("entry %s: %v", e.Attempt, err)
		}
	}
}

func TestForgetDropsSecretsAndNothingElse(t *testing.T) {
	fs, k := crashfs.New(1), keyring(t)
	j := open(t, journal.Options{FS: fs, Sealer: k})
	e := intent("acme", 1)
	e.Record.Orphans = []tokens.Orphan{{Refresh: []byte("sealed-orphan-acme"), Fingerprint: "fp-orphan"}}
	exchange(t, j, e, tokens.OutcomeIssued)
	exchange(t, j, intent("umbrella", 1), tokens.OutcomeIssued)
	late := intent("acme", 2)
	if err := j.Begin(late); err != nil {
		t.Fatal(err)
	}
	if err := j.Forget("acme"); err != nil {
		t.Fatal(err)
	}
	for _, name := range fs.Names() {
		b, err := fs.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		// Sealed bytes are base64 on the disk.
		for _, s := range []string{"c2VhbGVkLXJlZnJlc2gtYWNtZ", "c2VhbGVkLWFjY2Vzcy1hY21l", "c2VhbGVkLW9ycGhhbi1hY21l"} {
			if bytes.Contains(b, []byte(s)) {
				t.Errorf("%s still has a secret of acme", name)
			}
		}
	}
	// A late answer of what is forgotten must still be kept, to be revoked.
	if err := j.Answer(late.Attempt, answerOf(late.Attempt)); err != nil {
		t.Fatal(err)
	}
	j.Close()
	m, ids := entries(t, open(t, journal.Options{FS: fs, Sealer: k}))
	if !slices.Equal(ids, []tokens.AttemptID{"acme-1", "umbrella-1", "acme-2"}) {
		t.Errorf("entries %v", ids)
	}
	a := m["acme-1"]
	if a.Answer != nil || a.Record.Refresh != nil || a.Record.Access != nil || a.Record.Orphans != nil || !a.Settled {
		t.Errorf("acme: %+v", a)
	}
	if !a.Record.Knows("fp-acme-1") || !a.Record.Knows("fp-orphan") {
		t.Error("the fingerprints are forgotten too")
	}
	if m["umbrella-1"].Answer == nil || m["umbrella-1"].Record.Refresh == nil || m["acme-2"].Answer == nil {
		t.Error("another's secrets, or the late answer, are gone")
	}
}
