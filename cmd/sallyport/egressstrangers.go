package main

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/otel/metric"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/attr"
	"github.com/sallyport/sallyport/internal/egressplan"
	"github.com/sallyport/sallyport/tokens"
)

// Logins implements [admin.Egress].
func (d *egressDesk) Logins(ctx context.Context, org tokens.OrgID, since time.Time) (rep admin.LoginReport, err error) {
	ctx, span := d.tracer.Start(ctx, attr.SpanLogins, oteltrace.WithAttributes(attr.Org.String(string(org))))
	defer span.End()
	rep = admin.LoginReport{Org: string(org), Since: since.UTC(), Known: d.known()}
	if len(rep.Known) == 0 {
		return rep, &admin.ConflictError{What: "there is nothing to compare logins with: say what is registered (SALLYPORT_EGRESS_ALLOWED), or who tells the own address (SALLYPORT_EGRESS_ECHO_URL)"}
	}
	if rep.UserID, rep.Logins, err = d.recorded(ctx, org, since); err != nil {
		return rep, err
	}
	rep.Truncated = len(rep.Logins) == maxLogins
	for i := range rep.Logins {
		l := &rep.Logins[i]
		if l.Stranger, l.Why = egressplan.Judge(l.SourceIP, rep.Known); l.Stranger {
			rep.Strangers++
			d.alarm(ctx, org, *l)
		}
	}
	return rep, nil
}

// alarm tells of a stranger, once while this process runs.
func (d *egressDesk) alarm(ctx context.Context, org tokens.OrgID, l admin.Login) {
	if known, _ := d.told.ContainsOrAdd(string(org)+" "+l.ID, struct{}{}); known {
		return
	}
	d.strangers.Add(ctx, 1, metric.WithAttributes(attr.Org.String(string(org))))
	d.log.ErrorContext(ctx, "ALARM: a login of the integration user came from a stranger", "org", org, "at", l.Time, "source", l.SourceIP, "why", l.Why,
		"type", l.Type, "subtype", l.SubType, "application", l.Application, "status", l.Status,
		"hint", "if nobody of yours did it: sallyport grant revoke, freeze the user, tell security@salesforce.com")
}

// How often each org's logins are looked at without being asked to.
const (
	loginsEvery   = 24 * time.Hour
	loginsOverlap = time.Hour          // a row may come late
	loginsMost    = 7 * 24 * time.Hour // of the past, after a pause
	metaLogins    = "logins"           // where replicas tell each other when they looked
)

// watchLogins looks at each org's logins once a day, by one call that all
// replicas share, until ctx ends. An org without a live access token is left in
// peace: no exchange is made for it. Without registered addresses it does
// nothing, since what echoes saw may be one of several addresses of a NAT.
func (d *egressDesk) watchLogins(ctx context.Context) {
	if len(d.registered) == 0 {
		return
	}
	for {
		pause := time.NewTimer(time.Duration((0.5 + rand.Float64()) * float64(time.Hour)))
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
			d.lookAround(ctx)
		}
	}
}

// lookAround looks at the logins of the orgs whose day has come.
func (d *egressDesk) lookAround(ctx context.Context) {
	for _, o := range d.reg.Snapshot().Orgs() {
		org := tokens.OrgID(o.Key)
		if st, ok := d.broker.Status(org); o.Disabled || !ok || !st.Live {
			continue
		}
		since, due, err := d.claimLook(ctx, o.Key, time.Now())
		if err == nil && due {
			_, err = d.Logins(ctx, org, since)
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			d.log.WarnContext(ctx, "the logins of an org weren't looked at: see sallyport egress watch", "org", o.Name, "error", err)
		}
	}
}

// claimLook notes in the store that org's logins are looked at now, unless
// somebody did in the last day. Two replicas that ask at the same moment may
// both look: an alarm too many, and a call.
func (d *egressDesk) claimLook(ctx context.Context, org string, now time.Time) (since time.Time, due bool, err error) {
	raw, err := d.store.Meta(ctx, metaLogins)
	if err != nil {
		return since, false, err
	}
	looked := map[string]time.Time{}
	if json.Unmarshal(raw, &looked) != nil {
		looked = map[string]time.Time{} // nothing, or of another version: look anew
	}
	since, due = nextLook(looked[org], now)
	if !due {
		return since, false, nil
	}
	looked[org] = now.UTC().Truncate(time.Second)
	if raw, err = json.Marshal(looked); err != nil {
		return since, false, err
	}
	return since, true, d.store.SetMeta(ctx, metaLogins, raw)
}

// nextLook says whether it is time for a look, and from when on. A clock that
// went back doesn't put it off.
func nextLook(last, now time.Time) (since time.Time, due bool) {
	switch age := now.Sub(last); {
	case last.IsZero() || age < 0:
		return now.Add(-loginsEvery), true
	case age < loginsEvery:
		return last, false
	}
	since = last.Add(-loginsOverlap)
	if earliest := now.Add(-loginsMost); since.Before(earliest) {
		since = earliest
	}
	return since, true
}
