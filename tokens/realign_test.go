package tokens_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
)

// unreadable is a store in which some records can't be read.
type unreadable struct {
	tokens.Store
	which func(tokens.OrgID) bool
	holds int
}

func (s *unreadable) Hold(ctx context.Context, id tokens.OrgID, f func(context.Context, tokens.Hold) error) error {
	s.holds++
	if s.which(id) {
		return errors.New("the record can't be read")
	}
	return s.Store.Hold(ctx, id, f)
}

// However many orgs can't be shown to a store, they keep no other from its turn,
// and a store that is away isn't asked about each org.
func TestRealignGoesOnPastOrgsThatFail(t *testing.T) {
	const orgs = 40
	enrolled(t, func(b *bench) {
		store := &unreadable{Store: b.store, which: func(tokens.OrgID) bool { return false }}
		b.with(func(o *tokens.Options) { o.Store = store })
		var bad []tokens.OrgID
		for i := range orgs {
			id := tokens.OrgID(fmt.Sprintf("org%02d", i))
			b.dir[id] = b.dir[acme]
			if _, err := b.Import(b.t.Context(), id, secret.NewText(b.sf.Authorise(id))); err != nil {
				t.Fatal(err)
			}
			if i%3 == 0 {
				bad = append(bad, id)
			}
		}

		store.which = func(id tokens.OrgID) bool { return slices.Contains(bad, id) }
		left, why := b.Realign(b.t.Context())
		for range orgs { // as often as it takes until no other is left
			if len(left) == len(bad) {
				break
			}
			left, why = b.Realign(b.t.Context(), left...)
		}
		slices.Sort(left)
		if !slices.Equal(left, bad) || why == nil {
			t.Errorf("left %v because of %v; want %v", left, why, bad)
		}

		store.which, store.holds = func(tokens.OrgID) bool { return true }, 0
		if left, _ := b.Realign(b.t.Context()); len(left) != orgs+1 || store.holds > 10 {
			t.Errorf("a store that is away was asked %d times and leaves %d orgs; want few and %d", store.holds, len(left), orgs+1)
		}

		store.which = func(tokens.OrgID) bool { return false }
		if left, err := b.Realign(b.t.Context(), bad...); len(left) != 0 || err != nil {
			t.Errorf("left %v because of %v, want none", left, err)
		}
	})
}
