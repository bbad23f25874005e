package tokenstest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/tokens"
)

// answer is an answer that makes r of base.
func answer(r, base tokens.Record) tokens.Committed {
	r.Verified = base.Verified
	return tokens.Committed{
		Attempt: "answered", Base: base.Place, Identity: base.Verified, Record: r,
	}
}

// commit commits and compares the landing, and what was returned with what is
// kept.
func (f fixture) commit(c tokens.Committed, want tokens.Landing) tokens.Record {
	f.t.Helper()
	org := c.Record.Org
	r, landed, err := f.Commit(f.t.Context(), org, c)
	if err != nil {
		f.t.Fatalf("commit to %s: %v", org, err)
	}
	if landed != want {
		f.t.Errorf("landed %d, want %d", landed, want)
	}
	f.same("the record of "+string(org), f.load(org), r)
	return r
}

func testCommitOverOlder(t *testing.T, f fixture) {
	n := 0
	for _, state := range tokens.States() {
		for _, attempt := range []*tokens.Attempt{nil, {ID: "other", Replica: "elsewhere"}} {
			for _, ahead := range []uint64{0, 1e12} {
				n++
				org := tokens.OrgID(fmt.Sprint("org", n))
				old := f.save(sample(org, place(4)), func(r *tokens.Record) {
					r.State, r.Attempt = state, attempt
					r.Fence += ahead // a fence is no hindrance to an answer
				})
				c := answer(sample(org, place(6)), old)
				c.Base = place(5) // not what is there: a heal
				r := f.commit(c, tokens.LandedHealed)
				if r.State != tokens.InDoubt || r.Verified != "" || r.Place != place(6) || r.Fence < old.Fence || r.Revision <= old.Revision {
					t.Errorf("over a grant that was %s: %s, verified %q, %v", state, r.State, r.Verified, r.Place)
				}
				if !r.Knows(old.Fingerprint) || !r.Knows(old.Orphans[0].Fingerprint) || !r.Knows(old.Earlier[0]) {
					t.Errorf("over a grant that was %s: older tokens are forgotten", state)
				}
			}
		}
	}
}

func testCommitBase(_ *testing.T, f fixture) {
	old := f.save(sample("acme", place(1)), func(r *tokens.Record) {
		r.State, r.Attempt = tokens.Exchanging, &tokens.Attempt{ID: "answered", Base: place(1)}
	})
	r := f.commit(answer(sample("acme", place(2)), old), tokens.LandedReady)
	if r.State != tokens.Ready || r.Verified != old.Verified || string(r.Refresh) == string(old.Refresh) {
		f.t.Errorf("on its own base: %s, verified %q", r.State, r.Verified)
	}
	unverified := f.save(sample("umbrella", place(1)), func(r *tokens.Record) { r.Verified = "" })
	c := answer(sample("umbrella", place(2)), unverified)
	c.Identity = old.Verified
	f.commit(c, tokens.LandedHealed)

	other := f.save(sample("wayne", place(1)), func(r *tokens.Record) { r.Verified = "an earlier life" })
	c = answer(sample("wayne", place(2)), other)
	c.Identity = old.Verified
	f.commit(c, tokens.LandedHealed)

	f.commit(answer(sample("new", place(7)), tokens.Record{}), tokens.LandedHealed)

	e := answer(sample("enrolled", place(1)), tokens.Record{})
	e.Enrolment = true
	f.commit(e, tokens.LandedReady)
}

func testCommitBeside(t *testing.T, f fixture) {
	old := f.save(sample("acme", place(1)), nil)
	newer := tokens.Place{Epoch: old.Epoch + 1, Generation: 1}
	e := answer(sample("acme", newer), tokens.Record{})
	e.Enrolment = true
	enrolled := f.commit(e, tokens.LandedReady)
	if !slices.ContainsFunc(enrolled.Orphans, func(o tokens.Orphan) bool { return o.Fingerprint == old.Fingerprint }) {
		t.Error("the enrolment forgot the live token before it")
	}
	late := sample("acme", place(2))
	r := f.commit(answer(late, old), tokens.LandedOrphaned)
	if r.Place != newer || r.Fingerprint != enrolled.Fingerprint || !r.Ended("answered") ||
		!slices.ContainsFunc(r.Orphans, func(o tokens.Orphan) bool { return o.Fingerprint == late.Fingerprint }) {
		t.Errorf("beside a newer epoch: %+v", r)
	}

	taken := f.save(sample("umbrella", place(2)), nil)
	rival := sample("umbrella", place(2))
	rival.Fingerprint, rival.Refresh = "fp of a rival", []byte("sealed rival")
	r = f.commit(answer(rival, tokens.Record{Place: place(1)}), tokens.LandedContested)
	if r.Fingerprint != taken.Fingerprint || !r.Knows("fp of a rival") {
		t.Errorf("a contested place: %+v", r)
	}

	f.save(sample("wayne", place(5)), nil)
	before := f.load("wayne")
	f.same("a later answer of the same epoch", f.commit(answer(sample("wayne", place(4)), tokens.Record{Place: place(3)}), tokens.LandedNowhere), before)
}

func testCommitIdempotent(_ *testing.T, f fixture) {
	old := f.save(sample("acme", place(1)), nil)
	c := answer(sample("acme", place(2)), old)
	first := f.commit(c, tokens.LandedReady)
	f.same("the same commit again", f.commit(c, tokens.LandedAlready), first)

	newer := f.save(sample("umbrella", tokens.Place{Epoch: old.Epoch + 1, Generation: 1}), nil)
	c = answer(sample("umbrella", place(2)), old)
	orphaned := f.commit(c, tokens.LandedOrphaned)
	f.same("the same orphan again", f.commit(c, tokens.LandedAlready), orphaned)
	if len(orphaned.Orphans) != len(newer.Orphans)+1 {
		f.t.Errorf("%d orphans", len(orphaned.Orphans))
	}
}

func testCommitSchema(t *testing.T, f fixture) {
	c := answer(sample("acme", place(1)), tokens.Record{})
	c.Record.Schema++
	_, _, err := f.Commit(t.Context(), "acme", c)
	f.is("Commit of a newer schema", err, tokens.ErrSchema)
	_, err = f.Load(t.Context(), "acme")
	f.is("Load", err, tokens.ErrUnknownOrg)
	if _, _, err := f.Commit(t.Context(), "acme", answer(sample("umbrella", place(1)), tokens.Record{})); err == nil {
		t.Error("Commit took another org's record")
	}
	p, ok := f.Store.(Planter)
	if !ok {
		return
	}
	newer := sample("acme", place(1))
	newer.Schema++
	if err := p.Plant(newer); err != nil {
		t.Fatal(err)
	}
	_, _, err = f.Commit(t.Context(), "acme", answer(sample("acme", place(2)), newer))
	f.is("Commit over a newer schema", err, tokens.ErrSchema)
	f.same("the record", f.load("acme"), newer)
}

func testCommitWithoutLock(t *testing.T, f fixture) {
	old := f.save(sample("acme", place(1)), nil)
	f.hold("acme", func(context.Context, tokens.Hold) {
		ctx, cancel := context.WithTimeout(t.Context(), waitMax)
		defer cancel()
		if _, _, err := f.Commit(ctx, "acme", answer(sample("acme", place(2)), old)); err != nil {
			t.Error(err)
		}
	})
}

func testCommitClaims(t *testing.T, f fixture) {
	claims, ok := f.Store.(tokens.Claims)
	if !ok {
		return
	}
	who := func(r tokens.Record) tokens.OrgID {
		t.Helper()
		org, err := claims.Claimant(t.Context(), r.Fingerprint)
		if err != nil {
			t.Fatal(err)
		}
		return org
	}
	old := f.save(sample("acme", place(1)), nil)
	f.commit(answer(sample("acme", place(2)), old), tokens.LandedReady)
	if got := who(sample("acme", place(2))); got != "acme" {
		t.Errorf("the new token is claimed by %q", got)
	}
	// An answer is the only copy: it lands though another org has the claim.
	taken := sample("umbrella", place(2))
	if err := claims.Claim(t.Context(), "other", []string{taken.Fingerprint}); err != nil {
		t.Fatal(err)
	}
	f.commit(answer(taken, tokens.Record{}), tokens.LandedHealed)
	if got := who(taken); got != "other" {
		t.Errorf("the claim went to %q", got)
	}
	orphan := sample("acme", tokens.Place{Epoch: 1, Generation: 1})
	f.commit(answer(orphan, tokens.Record{}), tokens.LandedOrphaned)
	if got := who(orphan); got != "acme" {
		t.Errorf("the orphan is claimed by %q", got)
	}
}

func testClaims(t *testing.T, f fixture) {
	claims, ok := f.Store.(tokens.Claims)
	if !ok {
		return
	}
	claim := func(org tokens.OrgID, names ...string) error { return claims.Claim(t.Context(), org, names) }
	who := func(name string, want tokens.OrgID) {
		t.Helper()
		if got, err := claims.Claimant(t.Context(), name); err != nil || got != want {
			t.Errorf("%q is claimed by %q, %v; want %q", name, got, err, want)
		}
	}
	who("a", "")
	if err := claim("acme", "a", "b", "", "a"); err != nil {
		t.Fatal(err)
	}
	who("a", "acme")
	who("b", "acme")
	who("", "")
	if err := claim("acme", "a", "c"); err != nil {
		t.Errorf("the same org again: %v", err)
	}
	f.is("another org", claim("umbrella", "d", "b"), tokens.ErrClaimed)
	who("d", "") // all or nothing
	who("b", "acme")
	if err := claim("umbrella", "d"); err != nil {
		t.Error(err)
	}
}
