package simtest

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
)

// caller wants a token, calls Salesforce with it, and comes back where it is
// refused, as the proxy does.
func (w *world) caller(p *process, org tokens.OrgID) {
	t, err := w.get(p, org, func() (tokens.Token, error) { return p.broker.Token(p.ctx, org) })
	if err != nil {
		return
	}
	if !w.sf.Call(t) {
		t, err = w.get(p, org, func() (tokens.Token, error) { return p.broker.Replace(p.ctx, org, t) })
		if err != nil || !w.sf.Call(t) {
			return
		}
	}
	p.broker.Used(org, t)
}

// get asks for a token and checks what callers were promised: bounded waits, no
// needless outage, and errors without secrets.
func (w *world) get(p *process, org tokens.OrgID, ask func() (tokens.Token, error)) (tokens.Token, error) {
	began, had := time.Now(), p.serves(org)
	lived := w.sf.Lives(had)
	t, err := ask()
	if p.isDead() || errors.Is(err, context.Canceled) {
		return t, err
	}
	if took := time.Since(began); took > 31*time.Second {
		w.breaks("bounded waits: a caller waited for %s", took)
	}
	w.cov.served(err)
	if err == nil {
		return t, nil
	}
	var e *tokens.Error
	if !errors.As(err, &e) {
		w.breaks("bounded waits: a caller is told %q, which doesn't say whether to try again", err)
		return t, err
	}
	w.note("%s: a caller is told %v", p.name, err)
	w.discreet("a caller is told", err.Error())
	if w.sc.Switches.Calm {
		w.breaks("one exchange: nothing fails, and a caller is told %v", err)
	}
	if p.paused.After(began) {
		return t, err // nothing of it ran meanwhile
	}
	if lived && w.sf.Lives(had) && had == p.serves(org) && !w.excused(p, org) {
		w.breaks("no needless outage: %s's access token lives at Salesforce, and a caller is told %v", p.name, err)
	}
	return t, err
}

// excused reports whether a caller may be refused although the access token
// lives: its believed end is over, others' calls may have put it off, and
// introspection doesn't tell.
func (w *world) excused(p *process, org tokens.OrgID) bool {
	st, ok := p.broker.Status(org)
	if !ok || !p.ready {
		return true
	}
	return !time.Now().Before(st.ExpiresAt) && w.sf.Telling() != tokenstest.IntrospectionTrue
}

// discreet checks that a text holds no secret.
func (w *world) discreet(who, text string) {
	if strings.Contains(text, "5Aep861-") || strings.Contains(text, "00D-") {
		w.breaks("a secret got out: %s %s", who, text)
	}
}

// written is told of each write of a record: nothing goes back, and nobody
// writes less than it has seen.
func (w *world) written(ctx context.Context, r tokenstest.Written) {
	w.cov.edge(r)
	if r.New.Place.Compare(r.Old.Place) < 0 {
		w.breaks("only forward: a write took the record from %v back to %v", r.Old.Place, r.New.Place)
	}
	o, _ := ctx.Value(opKey{}).(*op)
	if o == nil {
		return
	}
	w.mu.Lock()
	w.landed[open(r.New)] = true
	w.noteLocked("%s wrote %s %v rev %d: %s %s (was %v rev %d: %s %s)%s", o.p.name, r.Op, r.New.Place, r.New.Revision, r.New.State, r.New.Reason,
		r.Old.Place, r.Old.Revision, r.Old.State, r.Old.Reason, landing(r))
	w.mu.Unlock()
	// An answer goes over whatever is older, wherever else a newer one is known.
	if r.Op == tokenstest.OpSave && r.New.Place.Compare(o.known) < 0 {
		w.breaks("only forward: %s had seen %v, and wrote %v", o.p.name, o.known, r.New.Place)
	}
}

func landing(r tokenstest.Written) string {
	if r.Op == tokenstest.OpCommit {
		return " " + landingNames[r.Landing]
	}
	return ""
}

// journalled notes that a refresh token was fsynced on p's disk.
func (w *world) journalled(p *process, refresh string) {
	if refresh == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept[refresh] = append(w.kept[refresh], p.rep.disk)
}

// answered checks that what is committed was fsynced before, unless the disk
// refused it.
func (w *world) answered(c tokens.Committed) {
	token := open(c.Record)
	w.mu.Lock()
	kept := len(w.kept[token]) > 0 || w.disks
	w.mu.Unlock()
	if token != "" && !kept && c.Record.Rotation != tokens.DoesNotRotate {
		w.breaks("no loss: an answer goes to the store that no journal holds")
	}
}

// guarded notes that the send guard said no.
func (w *world) guarded(p *process, err error) {
	switch text := err.Error(); {
	case strings.Contains(text, "shutting down"):
		w.cov.row(42)
	default:
		w.cov.row(1)
	}
	w.note("%s: the guard says: %v", p.name, err)
}

// heardAnswer notes what came back.
func (w *world) heardAnswer(p *process, a tokens.Answer) {
	i, err := w.sf.Parse(a)
	var ref *tokens.Refusal
	switch {
	case err == nil && i.Refresh.IsZero():
		w.cov.row(38)
	case errors.As(err, &ref):
		w.cov.refusal(ref.Class)
	}
	w.note("%s: Salesforce answers: %v", p.name, err)
}

// asking is around a question to Salesforce. Where it ends a live access token,
// it must have been free.
func (w *world) asking(p *process, org tokens.OrgID, s tokens.Subject) (check func()) {
	had := p.serves(org)
	if s.Refresh {
		w.cov.silence(w.sf.Telling())
	}
	if !s.Refresh || !w.sf.Lives(had) {
		return func() {}
	}
	st, ok := p.broker.Status(org)
	left := min(time.Until(st.ExpiresAt), w.sf.Left(had))
	return func() {
		if w.sf.Lives(had) {
			return
		}
		w.cov.count("a question counted as reuse and ended a live access token")
		if ok && left > w.sc.Switches.Session/10+time.Second && w.sc.Switches.Doubt != tokens.AskSoon && p.asked == 0 && !w.foreign { // or the exchange itself would have been the replay
			w.breaks("no needless outage: %s asked about a spent token and so ended an access token that it believed to live for %s more", p.name, left)
		}
	}
}

// inspect checks what must hold whenever all is at rest.
func (w *world) inspect() {
	if m := w.sf.Misuse(); len(m) > 0 && w.sc.Switches.Doubt != tokens.AskSend {
		w.breaks("single use: %s", m[0])
	}
}
