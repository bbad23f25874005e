package journal_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/journal"
	"github.com/sallyport/sallyport/tokens/tokenstest/crashfs"
)

// step is one attempt and how it ended; unsettled where it has no outcome.
type step struct {
	entry   tokens.Entry
	answer  bool
	settled bool
	outcome tokens.Outcome
}

func done(e tokens.Entry, o tokens.Outcome) step { return step{e, true, true, o} }

func unsent(e tokens.Entry) step { return step{e, false, true, tokens.OutcomeNotSent} }

func imported(org string, epoch int64) tokens.Entry {
	e := intent(org, 1)
	e.Kind, e.Attempt, e.Base = tokens.EntryEnrolment, "import", tokens.Place{}
	e.Record.Epoch = epoch
	return e
}

func later(e tokens.Entry, epoch int64, id tokens.AttemptID) tokens.Entry {
	e.Base.Epoch, e.Record.Epoch, e.Attempt = epoch, epoch, id
	return e
}

// TestFailure49WhatStaysAfterSettling covers V7: a store may lose what it
// acknowledged.
func TestFailure49WhatStaysAfterSettling(t *testing.T) {
	const epoch = 1700000000000
	for name, tc := range map[string]struct {
		steps []step
		want  []tokens.AttemptID
	}{
		"the newest answer stays though it is settled": {
			[]step{done(intent("acme", 1), tokens.OutcomeIssued), done(intent("acme", 2), tokens.OutcomeIssued)},
			[]tokens.AttemptID{"acme-2"},
		},
		"each org has its own": {
			[]step{done(intent("acme", 1), tokens.OutcomeIssued), done(intent("umbrella", 1), tokens.OutcomeIssued)},
			[]tokens.AttemptID{"acme-1", "umbrella-1"},
		},
		"a newer intent without an answer doesn't push out the answer": {
			[]step{done(intent("acme", 1), tokens.OutcomeIssued), unsent(intent("acme", 2)), unsent(intent("acme", 3))},
			[]tokens.AttemptID{"acme-1", "acme-3"},
		},
		"a refusal is no token, and doesn't push out the one before it": {
			[]step{
				done(intent("acme", 1), tokens.OutcomeIssued), done(intent("acme", 2), tokens.OutcomeRateLimited),
				done(intent("acme", 3), tokens.OutcomeDead),
			},
			[]tokens.AttemptID{"acme-1", "acme-3"},
		},
		"an answer that nobody understood may be a token, and isn't surely one": {
			[]step{
				done(intent("acme", 1), tokens.OutcomeIssued), done(intent("acme", 2), tokens.OutcomeUnknown),
				done(intent("acme", 3), tokens.OutcomeDead),
			},
			[]tokens.AttemptID{"acme-1", "acme-2", "acme-3"},
		},
		"unsettled entries stay": {
			[]step{{entry: intent("acme", 1)}, {entry: intent("acme", 2), answer: true}, done(intent("acme", 3), tokens.OutcomeIssued)},
			[]tokens.AttemptID{"acme-1", "acme-2", "acme-3"},
		},
		"a late answer of an older epoch doesn't push out a newer enrolment": {
			[]step{
				done(imported("acme", epoch+9), tokens.OutcomeIssued),
				done(later(intent("acme", 5), epoch, "late"), tokens.OutcomeOrphaned),
			},
			[]tokens.AttemptID{"import", "late"},
		},
		"an import pushes out the answer before it": {
			[]step{done(intent("acme", 5), tokens.OutcomeIssued), unsent(intent("acme", 6)), done(imported("acme", epoch+9), tokens.OutcomeIssued)},
			[]tokens.AttemptID{"acme-6", "import"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			fs, k := crashfs.New(1), keyring(t)
			j := open(t, journal.Options{FS: fs, Sealer: k})
			for _, s := range tc.steps {
				if err := j.Begin(s.entry); err != nil {
					t.Fatal(err)
				}
				if s.answer {
					if err := j.Answer(s.entry.Attempt, answerOf(s.entry.Attempt)); err != nil {
						t.Fatal(err)
					}
				}
				if s.settled {
					if err := j.Settle(s.entry.Attempt, s.outcome); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := j.Forget("nobody"); err != nil { // compacts
				t.Fatal(err)
			}
			_, got := entries(t, j)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			j.Close()
			_, got = entries(t, open(t, journal.Options{FS: fs, Sealer: k}))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("after a restart: %s", diff)
			}
		})
	}
}

func TestALargeFileWithMuchDeadInItIsCompacted(t *testing.T) {
	fs, k := crashfs.New(1), keyring(t)
	j := open(t, journal.Options{FS: fs, Sealer: k, CompactAbove: 16 << 10})
	largest := 0
	for gen := range int64(200) {
		exchange(t, j, intent("acme", gen+1), tokens.OutcomeIssued)
		size := 0
		for _, name := range fs.Names() {
			b, err := fs.Read(name)
			if err != nil {
				t.Fatal(err)
			}
			size += len(b)
		}
		largest = max(largest, size)
	}
	if largest > 24<<10 {
		t.Errorf("the files grew to %d bytes", largest)
	}
	j.Close()
	m, ids := entries(t, open(t, journal.Options{FS: fs, Sealer: k}))
	if e := m["acme-200"]; len(ids) > 20 || string(e.Answer) != string(answerOf("acme-200")) || !e.Settled {
		t.Errorf("%d entries, the newest %+v", len(ids), e)
	}
}
