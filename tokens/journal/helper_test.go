package journal_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/journal"
)

const dir = "/state/journal"

func keyring(t testing.TB) *secret.Keyring {
	t.Helper()
	ks, err := secret.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	k, err := secret.ParseKeyring(ks)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func open(t testing.TB, o journal.Options) *journal.Journal {
	t.Helper()
	if o.Dir == "" {
		o.Dir = dir
	}
	j, err := journal.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

// intent is an entry of an exchange on generation gen.
func intent(org string, gen int64) tokens.Entry {
	id := tokens.AttemptID(fmt.Sprintf("%s-%d", org, gen))
	place := tokens.Place{Epoch: 1700000000000, Generation: gen}
	return tokens.Entry{
		Attempt: id, Org: tokens.OrgID(org), Deployment: "dep", Kind: tokens.EntryIntent, Base: place, Identity: "store-1",
		Record: tokens.Record{
			Schema: tokens.Schema, Org: tokens.OrgID(org), Kind: "refresh_token", SingleUse: true, Place: place,
			State: tokens.Exchanging, Since: time.Unix(1700000000, 0).UTC(), Refresh: []byte("sealed-refresh-" + id),
			Access: []byte("sealed-access-" + id), Fingerprint: "fp-" + string(id),
			Attempt: &tokens.Attempt{ID: id, Base: place},
		},
	}
}

func answerOf(id tokens.AttemptID) tokens.Answer {
	return tokens.Answer("HTTP/1.1 200 OK\r\n\r\n{\"refresh_token\":\"next-of-" + string(id) + "\"}")
}

// entries reads all, by attempt, and the ids in order.
func entries(t testing.TB, j *journal.Journal) (map[tokens.AttemptID]tokens.Entry, []tokens.AttemptID) {
	t.Helper()
	m := make(map[tokens.AttemptID]tokens.Entry)
	var ids []tokens.AttemptID
	for e, err := range j.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		m[e.Attempt] = e
		ids = append(ids, e.Attempt)
	}
	return m, ids
}

func exchange(t testing.TB, j *journal.Journal, e tokens.Entry, o tokens.Outcome) {
	t.Helper()
	if err := j.Begin(e); err != nil {
		t.Fatal(err)
	}
	if err := j.Answer(e.Attempt, answerOf(e.Attempt)); err != nil {
		t.Fatal(err)
	}
	if err := j.Settle(e.Attempt, o); err != nil {
		t.Fatal(err)
	}
}

// isFile says whether a name is a numbered file of a journal.
func isFile(name string) bool {
	return strings.HasPrefix(filepath.Base(name), "journal.") && !strings.HasSuffix(name, ".tmp")
}
