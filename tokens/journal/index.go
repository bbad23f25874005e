package journal

import (
	"maps"
	"slices"

	"github.com/sallyport/sallyport/tokens"
)

// entry is what is kept of one attempt.
type entry struct {
	begin   line   // or the answer's copy of it, where the begin was lost
	sealed  []byte // nil: no answer
	settled bool
	outcome tokens.Outcome
	size    int64 // of its frames
}

// index is all entries, oldest first. The zero index is empty.
type index struct {
	order []*entry
	byID  map[tokens.AttemptID]*entry
}

// apply adds a line to its entry. A line may come twice.
func (x *index) apply(l line, size int64) {
	e := x.byID[l.Attempt]
	if e == nil {
		if l.Line == lineSettle {
			return // of an entry that is gone
		}
		if x.byID == nil {
			x.byID = make(map[tokens.AttemptID]*entry)
		}
		e = &entry{begin: l}
		x.byID[l.Attempt] = e
		x.order = append(x.order, e)
	}
	e.size += size
	switch l.Line {
	case lineBegin:
		e.begin = l
	case lineAnswer:
		e.sealed = l.Sealed
	case lineSettle:
		e.settled, e.outcome = true, l.Outcome
	}
}

// lines are those that make the entry again.
func (e *entry) lines() []line {
	var ls []line
	if e.begin.Line == lineBegin {
		ls = append(ls, e.begin)
	}
	if e.sealed != nil {
		ls = append(ls, e.answer(e.sealed))
	}
	if e.settled {
		ls = append(ls, settleLine(e.begin.Attempt, e.outcome))
	}
	return ls
}

func (e *entry) answer(sealed []byte) line {
	l := e.begin
	l.Line, l.Record, l.Sealed = lineAnswer, nil, sealed
	return l
}

// imported reports whether the entry's record is itself the answer: a token
// that a person brought.
func (e *entry) imported() bool {
	return e.begin.Kind == tokens.EntryEnrolment && e.begin.Record != nil && len(e.begin.Record.Refresh) > 0
}

// bears says whether the entry may hold a token that the store could lose, and
// whether it surely does. A refusal is an answer too, and must not push out the
// token before it.
func (e *entry) bears() (may, surely bool) {
	switch {
	case e.imported():
		return true, true
	case e.sealed == nil:
		return false, false
	}
	switch e.outcome {
	case tokens.OutcomeIssued, tokens.OutcomeOrphaned, tokens.OutcomeSuperseded:
		return true, true
	case tokens.OutcomeUnknown: // not settled, or perhaps a 200 that was cut short
		return true, false
	default:
		return false, false
	}
}

func (e *entry) place() tokens.Place {
	p := e.begin.Base
	if e.imported() && e.begin.Record.Place.Compare(p) > 0 {
		p = e.begin.Record.Place
	}
	return p
}

// live returns the entries that must stay, oldest first, and their size: all
// that are unsettled, and of each org the newest that bears a token and the
// newest intent. Newest is the one begun last, unless an older one has a
// greater place.
func (x *index) live() (live []*entry, size int64) {
	type best struct{ token, intent *tokens.Place }
	newest := make(map[tokens.OrgID]*best)
	for _, e := range slices.Backward(x.order) {
		b := newest[e.begin.Org]
		if b == nil {
			b = new(best)
			newest[e.begin.Org] = b
		}
		keep, p := !e.settled, e.place()
		may, surely := e.bears()
		if may && (b.token == nil || p.Compare(*b.token) > 0) {
			keep = true
			if surely {
				b.token = &p
			}
		}
		if e.begin.Kind == tokens.EntryIntent && e.begin.Record != nil && (b.intent == nil || p.Compare(*b.intent) > 0) {
			keep, b.intent = true, &p
		}
		if keep {
			live = append(live, e)
			size += e.size
		}
	}
	slices.Reverse(live)
	return live, size
}

// pending counts the entries that hold a token which the store may not have.
func (x *index) pending() int {
	n := 0
	for _, e := range x.order {
		if may, _ := e.bears(); may && !e.settled {
			n++
		}
	}
	return n
}

// keep drops all entries but those.
func (x *index) keep(live []*entry) {
	x.order = live
	x.byID = maps.Collect(func(yield func(tokens.AttemptID, *entry) bool) {
		for _, e := range live {
			if !yield(e.begin.Attempt, e) {
				return
			}
		}
	})
}

// without returns entries as they are once org's secrets are forgotten: what
// was tried stays known, no token does.
func without(entries []*entry, org tokens.OrgID) []*entry {
	out := slices.Clone(entries)
	for i, e := range out {
		if e.begin.Org != org {
			continue
		}
		c := *e
		c.sealed = nil
		if c.begin.Line == lineAnswer {
			c.begin.Line, c.begin.Sealed = lineBegin, nil
		}
		if c.begin.Record != nil {
			r := *c.begin.Record
			r.Refresh, r.Access, r.Orphans = nil, nil, nil
			for _, o := range c.begin.Record.Orphans {
				r.Earlier = append(slices.Clone(r.Earlier), o.Fingerprint)
			}
			c.begin.Record = &r
		}
		out[i] = &c
	}
	return out
}
