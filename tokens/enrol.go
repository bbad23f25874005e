package tokens

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
)

// Enrolled is what an enrolment came to.
type Enrolled struct {
	Place Place
	// Already says that this very token was held, and nothing was changed.
	Already bool
	// Truthful says that introspection called the fresh refresh token live. Where
	// it didn't, a doubt about this grant can't be settled by asking: the app
	// should be allowed to introspect its own tokens.
	Truthful bool
}

// Import enrols a refresh token that a person brought: claim, journal, commit,
// and only then is the person told. It enters unverified, and is introspected
// once at once. A token that any org, journal or orphan knows doesn't enter
// twice: [CodeConflict], but for the org's current one, see [Enrolled.Already].
func (b *Broker) Import(ctx context.Context, id OrgID, refresh secret.Text) (Enrolled, error) {
	if refresh.IsZero() {
		return Enrolled{}, &Error{Org: id, Code: CodeConflict, What: "the refresh token is empty", Hint: "nothing was changed"}
	}
	return b.enrol(ctx, id, func(ctx context.Context, s *org, set Settings, h Hold) (Enrolled, error) {
		r, sight := b.read(s, h)
		if err := b.settlesIn(id, sight); err != nil { // what the store lost may be this very token
			return Enrolled{}, err
		}
		already, err := b.admit(ctx, id, b.newest(s, r), b.o.Fingerprint.Of(refresh.Reveal()))
		if err != nil || already {
			return Enrolled{Place: r.Place, Already: already}, err
		}
		n := b.newRecord(s, r, set)
		if err := b.fillRefresh(&n, refresh); err != nil {
			return Enrolled{}, err
		}
		a := b.newAttemptID()
		n.end(a, OutcomeIssued)
		e := Entry{Attempt: a, Org: id, Replica: b.o.Replica, Deployment: b.o.Deployment, Kind: EntryEnrolment, Base: r.Place, Identity: sight.Identity, Record: n}
		if err := b.o.Journal.Begin(e); err != nil {
			return Enrolled{}, err
		}
		return Enrolled{Place: n.Place}, landed(id, b.commit(ctx, s, Committed{Attempt: a, Base: r.Place, Identity: sight.Identity, Record: n, Enrolment: true}))
	})
}

// enrol runs f under a hold of id and, where that brought a token, introspects
// it once.
func (b *Broker) enrol(ctx context.Context, id OrgID, f func(context.Context, *org, Settings, Hold) (Enrolled, error)) (Enrolled, error) {
	set, err := b.enrollable(id)
	if err != nil {
		return Enrolled{}, err
	}
	leave, err := b.enter(id)
	if err != nil {
		return Enrolled{}, err
	}
	defer leave()
	s := b.org(id)
	var done Enrolled
	err = b.o.Store.Hold(ctx, id, func(ctx context.Context, h Hold) error {
		done, err = f(ctx, s, set, h)
		return err
	})
	if err != nil {
		return Enrolled{}, enrolError(id, err)
	}
	if !done.Already {
		done.Truthful = b.try(ctx, s)
	}
	return done, nil
}

// Seed enrols the refresh token of a resources file, where nothing better is
// known: the org is unknown, or must be authorised again and this token was
// never seen. It reports whether the token was used.
func (b *Broker) Seed(ctx context.Context, id OrgID, refresh secret.Text) (bool, error) {
	r, err := b.o.Store.Load(ctx, id)
	if err != nil && !errors.Is(err, ErrUnknownOrg) {
		return false, err
	}
	s := b.org(id)
	if r.Known() {
		b.remember(s, r)
	}
	if r = b.newest(s, r); r.Known() {
		who, err := b.o.Claims.Claimant(ctx, b.o.Fingerprint.Of(refresh.Reveal()))
		if err != nil {
			return false, err
		}
		if r.State != ReauthRequired || who != "" || s.live.Load().alive(time.Now()) {
			return false, nil
		}
	}
	done, err := b.Import(ctx, id, refresh)
	return err == nil && !done.Already, err
}

// Authorize exchanges an authorization code once, through the same egress as
// everything else, and enrols what it brings as a new epoch. The code is spent
// whatever comes of it. The token enters verified.
func (b *Broker) Authorize(ctx context.Context, id OrgID, code Credential) (Enrolled, error) {
	return b.enrol(ctx, id, func(ctx context.Context, s *org, set Settings, h Hold) (Enrolled, error) {
		r, sight := b.read(s, h)
		line, err := b.o.Exchanger.Connect(ctx, id)
		if err != nil {
			return Enrolled{}, err
		}
		defer line.Close()
		n := b.newRecord(s, r, set)
		n.Verified = sight.Identity
		a := Attempt{ID: b.newAttemptID(), Replica: b.o.Replica, Base: Place{Epoch: n.Epoch}, Start: time.Now(), Limit: b.p.ExchangeTimeout, Cause: CauseManual, Address: line.Address()}
		e := Entry{Attempt: a.ID, Org: id, Replica: b.o.Replica, Deployment: b.o.Deployment, Kind: EntryEnrolment, Base: r.Place, Identity: sight.Identity, Record: n}
		if err := b.o.Journal.Begin(e); err != nil {
			return Enrolled{}, err
		}
		sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.p.ExchangeTimeout)
		defer cancel()
		answer, _, err := line.Send(sending, code, func() error {
			if b.draining.Load() {
				return errDraining
			}
			return nil
		})
		ctx = context.WithoutCancel(ctx) // the code is spent
		if len(answer) == 0 {
			b.settle(id, a.ID, OutcomeUnknown)
			return Enrolled{}, fmt.Errorf("no answer came: authorise once more: %w", err)
		}
		if jerr := b.o.Journal.Answer(a.ID, answer); jerr != nil {
			b.log.ErrorContext(ctx, "the journal refused an answer: it is committed to the store at once", "org", id, "error", jerr)
		}
		issue, err := b.o.Exchanger.Parse(answer)
		if err != nil {
			b.settle(id, a.ID, OutcomeDead)
			return Enrolled{}, err
		}
		if issue.Refresh.IsZero() {
			b.settle(id, a.ID, OutcomeDead)
			return Enrolled{}, errors.New("the answer brought no refresh token: give the app the refresh_token scope and authorise once more")
		}
		c, err := b.enrolled(ctx, set, e, a.Address, issue, a.Start)
		if err != nil {
			return Enrolled{}, err
		}
		return Enrolled{Place: c.Record.Place}, landed(id, b.commit(ctx, s, c))
	})
}

// landed is an error where an enrolment did not become the grant.
func landed(id OrgID, l Landing) error {
	switch l {
	case LandedReady, LandedAlready:
		return nil
	case LandedNowhere, LandedHealed, LandedOrphaned, LandedContested, LandedForgotten:
	}
	return &Error{Org: id, Code: CodeConflict, What: "another authorisation of this org came first, and holds", Hint: "see sallyport grant show " + string(id)}
}

// enrolled is what the answer to an authorization code commits. Its names are
// claimed first; a name that another org has is told and not fatal, since the
// code is spent and the token is here.
func (b *Broker) enrolled(ctx context.Context, set Settings, e Entry, address string, i Issue, at time.Time) (Committed, error) {
	n := e.Record.clone()
	if err := b.fill(&n, i, address, at); err != nil {
		return Committed{}, err
	}
	n.Rotation = RotationUnknown
	n.end(e.Attempt, OutcomeIssued)
	names := append(grantNames(set, n), n.Fingerprint)
	if err := b.o.Claims.Claim(ctx, e.Org, names); errors.Is(err, ErrClaimed) {
		b.log.ErrorContext(ctx, "alarm: another org of this deployment was authorised for the same app and user: one grant should have one name", "org", e.Org, "error", err)
	} else if err != nil {
		b.log.WarnContext(ctx, "the names of a grant couldn't be claimed", "org", e.Org, "error", err)
	}
	return Committed{Attempt: e.Attempt, Base: e.Base, Identity: e.Identity, Record: n, Enrolment: true}, nil
}

// grantNames names the grant by Salesforce's own ids, where they are known.
func grantNames(set Settings, r Record) []string {
	if r.SalesforceOrg == "" || set.ClientID == "" {
		return nil
	}
	return []string{"grant:" + set.ClientID + ":" + r.SalesforceOrg + ":" + r.SalesforceUser}
}

// newRecord is the record of a new authorisation, above all that is known.
func (b *Broker) newRecord(s *org, r Record, set Settings) Record {
	now := time.Now()
	return Record{Schema: Schema, Org: s.id, Kind: set.Kind, SingleUse: set.SingleUse, State: Ready, Since: now, EnrolledAt: now,
		Place: Place{Epoch: b.newEpoch(s, r, now), Generation: 1}}
}

// newest is r, or memory where the store has gone back behind it.
func (b *Broker) newest(s *org, r Record) Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.memory.Compare(r) > 0 {
		return s.memory
	}
	return r
}

// newEpoch is the moment in milliseconds, or one more than the greatest epoch
// that store, memory and journal know.
func (b *Broker) newEpoch(s *org, r Record, now time.Time) int64 {
	s.mu.Lock()
	known := max(s.memory.Epoch, r.Epoch)
	s.mu.Unlock()
	for e, err := range b.o.Journal.Entries() {
		if err == nil && e.Org == s.id {
			known = max(known, e.Base.Epoch, e.Record.Epoch)
		}
	}
	return max(known+1, now.UnixMilli())
}

// admit decides whether a token with this fingerprint may enter, and claims it.
func (b *Broker) admit(ctx context.Context, id OrgID, r Record, fp string) (already bool, err error) {
	who, err := b.o.Claims.Claimant(ctx, fp)
	if err != nil {
		return false, err
	}
	conflict := func(what, hint string) error {
		return &Error{Org: id, Code: CodeConflict, What: what, Hint: hint}
	}
	switch {
	case who != "" && who != id:
		return false, conflict("this token belongs to org "+string(who), "one grant has one name; nothing was changed")
	case r.Fingerprint == fp && r.State != ReauthRequired:
		return true, nil
	case r.Fingerprint != fp && r.Knows(fp):
		return false, conflict("this token was rotated out or replaced earlier", "sending it would end the grant; authorise again instead")
	case b.heldElsewhere(id, fp) != "":
		return false, conflict("this token belongs to org "+string(b.heldElsewhere(id, fp)), "one grant has one name; nothing was changed")
	case r.Fingerprint != fp && who == id && (len(r.Earlier) >= keptFingerprints || b.journalKnows(id, fp)):
		return false, conflict("this token was held before", "authorise again instead")
	}
	return false, b.o.Claims.Claim(ctx, id, []string{fp})
}

// heldElsewhere is another org that this process or its journal knows to hold or
// have held the token, empty for none: a store may have lost who claimed it.
func (b *Broker) heldElsewhere(id OrgID, fp string) OrgID {
	for other, s := range *b.orgs.Load() {
		s.mu.Lock()
		knows := other != id && s.memory.Knows(fp)
		s.mu.Unlock()
		if knows {
			return other
		}
	}
	for e, err := range b.o.Journal.Entries() {
		if err == nil && e.Org != id && e.Record.Knows(fp) {
			return e.Org
		}
	}
	return ""
}

// reclaim claims for r's org what a store that went back has lost of its claims.
func (b *Broker) reclaim(ctx context.Context, s *org, r Record) {
	set, _ := b.o.Directory.Settings(s.id)
	names := append(append(grantNames(set, r), r.Fingerprint), r.Earlier...)
	for _, o := range r.Orphans {
		names = append(names, o.Fingerprint)
	}
	if err := b.o.Claims.Claim(ctx, s.id, names); err != nil {
		b.log.ErrorContext(ctx, "the tokens of a healed grant couldn't be claimed again: another org may have taken one", "org", s.id, "error", err)
	}
}

// journalKnows reports whether a journalled record of id beyond its present one
// names fp.
func (b *Broker) journalKnows(id OrgID, fp string) bool {
	for e, err := range b.o.Journal.Entries() {
		if err == nil && e.Org == id && e.Record.Knows(fp) && e.Settled {
			return true
		}
	}
	return false
}

// try introspects a fresh refresh token once, and remembers that this app is
// told the truth.
func (b *Broker) try(ctx context.Context, s *org) (truthful bool) {
	// Whoever brought it may be gone by now; what is learned here is of use later.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.p.ExchangeTimeout)
	defer cancel()
	err := b.o.Store.Hold(ctx, s.id, func(ctx context.Context, h Hold) error {
		x := &exchange{b: b, s: s, f: &flight{}, start: time.Now()}
		_, sight := h.Record()
		r, err := x.align(ctx, h)
		if err != nil || r.State != Ready || !r.SingleUse || x.settling(r, sight) != nil {
			return err
		}
		c, err := x.credential(r)
		if err != nil {
			return err
		}
		l, err := b.introspect(ctx, s.id, Subject{c.Secret, true})
		if err != nil || !l.Active {
			return err
		}
		truthful = true
		if l.OrgID != "" && r.SalesforceOrg == "" {
			r.SalesforceOrg, r.SalesforceUser = l.OrgID, l.UserID
			set, _ := b.o.Directory.Settings(s.id)
			if err := b.o.Claims.Claim(ctx, s.id, grantNames(set, r)); errors.Is(err, ErrClaimed) {
				b.log.ErrorContext(ctx, "alarm: another org of this deployment holds a grant of the same app and user", "org", s.id, "error", err)
			}
		}
		_, err = x.apply(ctx, h, r, Found{Identity: sight.Identity, Truthful: true, At: time.Now()})
		return err
	})
	if err != nil {
		b.log.WarnContext(ctx, "the fresh grant couldn't be looked at", "org", s.id, "error", err)
	}
	return truthful
}

func (b *Broker) enrollable(id OrgID) (Settings, error) {
	set, ok := b.o.Directory.Settings(id)
	switch {
	case !ok:
		return set, &Error{Org: id, Code: CodeOrgNotAllowed, What: "there is no such org", Hint: "sallyport get orgs lists them; sallyport apply makes one"}
	case !set.SingleUse:
		return set, &Error{Org: id, Code: CodeConflict, What: "a " + set.Kind + " grant has no refresh token", Hint: "nothing was changed"}
	}
	return set, nil
}

func enrolError(id OrgID, err error) error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Org: id, Code: CodeConflict, What: "the authorisation wasn't taken: " + err.Error(), Hint: "nothing was changed; try again", Err: err}
}
