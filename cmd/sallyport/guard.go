package main

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/sallyport/sallyport/tokens"
)

// listen takes over what other replicas change in the registry, until ctx ends.
func (a *app) listen(ctx context.Context) {
	reload := func() {
		if err := a.reg.Reload(ctx); err != nil && ctx.Err() == nil {
			a.log.ErrorContext(ctx, "the registry couldn't be read again: what was in force stays so", "error", err)
		}
	}
	if err := a.shared.WatchRegistry(ctx, reload); err != nil && ctx.Err() == nil {
		a.log.ErrorContext(ctx, "changes of the registry by other replicas are no longer heard: they come with the next look", "error", err)
	}
}

// lookAtStore is how often a shared store is looked at.
const lookAtStore = time.Second

// guard looks after a shared store until ctx ends: when it was away, is another
// or was emptied, it is given again what it lacks.
func (a *app) guard(ctx context.Context) {
	tick := time.NewTicker(lookAtStore)
	defer tick.Stop()
	var last tokens.StoreIdentity
	whole := true // nothing is to be given
	left := laggards{done: true}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		id, lacks, err := a.glance(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if whole {
				a.log.ErrorContext(ctx, "the store is away: living access tokens are served, nothing is exchanged", "error", err)
			}
			whole = false
			a.away.Store(&err)
			continue
		case last == "" && whole && !lacks: // a first look at what this process opened a moment ago
			last = id
			continue
		case whole && !lacks && id == last:
			if err := a.ca.keep(ctx); err != nil {
				a.log.WarnContext(ctx, "the CA of the store couldn't be read", "error", err)
			}
			left.retry(ctx, a)
			continue
		}
		if lacks || id != last {
			a.log.WarnContext(ctx, "the store is another than before or was emptied: it is shown what this replica remembers")
		}
		if err := a.restore(ctx); err != nil {
			whole = false
			a.away.Store(&err)
			a.log.ErrorContext(ctx, "the store couldn't be given all that this replica remembers: it is tried again", "error", err)
			continue
		}
		last, whole = id, true
		a.away.Store(nil)
		left = laggards{}
		left.retry(ctx, a)
	}
}

// laggards are orgs whose grant the store couldn't be shown. They are tried
// again more and more seldom, and keep nobody else waiting.
type laggards struct {
	orgs  []tokens.OrgID // none: every org
	tries int
	next  time.Time
	done  bool
}

func (l *laggards) retry(ctx context.Context, a *app) {
	if l.done || time.Now().Before(l.next) {
		return
	}
	var why error
	l.orgs, why = a.broker.Realign(ctx, l.orgs...)
	if l.done = len(l.orgs) == 0; l.done || ctx.Err() != nil {
		return
	}
	wait := min(lookAtStore<<min(l.tries, 6), time.Minute)
	l.tries, l.next = l.tries+1, time.Now().Add(wait)
	a.log.ErrorContext(ctx, "the store couldn't be shown what this replica remembers of some orgs: they are tried again",
		"orgs", len(l.orgs), "first", l.orgs[0], "after", wait, "error", why)
}

// errForeign says that the store names another deployment than this process.
var errForeign = errors.New("the store belongs to another deployment now: no replica of this one may use it; stop one of the two")

// glance reads the store's identity, and whether it lacks the deployment.
func (a *app) glance(ctx context.Context) (id tokens.StoreIdentity, lacks bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if id, err = a.shared.Identity(ctx); err != nil {
		return "", false, err
	}
	stored, err := a.shared.Meta(ctx, metaDeployment)
	switch {
	case err != nil:
		return "", false, err
	case stored != nil && !bytes.Equal(stored, a.deployment.ID):
		return "", false, errForeign
	}
	return id, stored == nil, nil // to be emptied may leave the identity as it was
}

// restore gives the store what it may have lost: what is sealed once, the
// deployment, for which newcomers wait before they make anything, and the
// registry.
func (a *app) restore(ctx context.Context) error {
	if err := checkCanary(ctx, a.store, a.keys); err != nil {
		return err
	}
	if err := a.ca.keep(ctx); err != nil {
		return err
	}
	mine := a.deployment
	d := mine
	if _, err := d.assert(ctx, a.store); err != nil {
		return err
	}
	if !bytes.Equal(d.ID, mine.ID) {
		return errForeign
	}
	return a.reg.Reload(ctx)
}
