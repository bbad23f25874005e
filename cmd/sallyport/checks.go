package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/egress"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/redisstore"
)

// checks are the doctor's findings about this process: store, keys, journal,
// CA and listeners.
func (a *app) checks(ctx context.Context) []admin.Finding {
	var all []admin.Finding
	tell := func(check string, wrong bool, what, hint string) {
		f := admin.Finding{Check: check, Result: admin.ResultOK, What: what}
		if wrong {
			f.Result, f.Hint = admin.ResultWrong, hint
		}
		all = append(all, f)
	}
	if err := checkCanary(ctx, a.store, a.keys); errors.Is(err, redisstore.ErrUnavailable) {
		tell("keys", true, "whether the keyset opens what the store holds can't be told: the store is away", "mend what is said of the store")
	} else if errors.Is(err, redisstore.ErrDenied) {
		tell("keys", true, "whether the keyset opens what the store holds can't be told: "+err.Error(), "mend what is said of the store")
	} else if err != nil {
		tell("keys", true, err.Error(), "restore the keyset that sealed the store")
	} else {
		tell("keys", false, "the keyset opens what the store holds", "")
	}
	a.checkShared(ctx, tell)
	if a.journal.Degraded() {
		tell("journal", true, tokens.ErrDegraded.Error(), "restart on a sound disk")
	} else {
		tell("journal", a.journal.Ephemeral(), fmt.Sprintf("replica %s, %d answers not yet committed", a.journal.Replica(), a.journal.Pending()),
			"the state directory is on a disk that dies with the machine (tmpfs or overlay): mount a volume there, or a crash can lose a refresh token")
	}
	if current, next, err := a.ca.load(ctx); err != nil {
		tell("ca", true, err.Error(), "see sallyport ca show")
	} else {
		end := current.Issuer().NotAfter
		tell("ca", time.Until(end) < 90*24*time.Hour, "the interception CA is valid until "+end.Format(time.DateOnly), "run sallyport ca rotate, give the new root to the clients, then sallyport ca rotate --activate")
		if next != nil {
			tell("ca", false, "a rotation is under way: clients need both roots", "")
		}
	}
	for _, what := range a.callers.amiss(time.Now()) {
		tell("client certificates", true, what, "certificates of that authority are refused until then")
	}
	for _, at := range a.out.Attestations() {
		switch err := a.out.Registered(at.Source); {
		case err != nil:
			tell("egress", true, err.Error(), "register the address with Salesforce and in SALLYPORT_EGRESS_ALLOWED, or mend the way out")
		case at.Standing == egress.Verified:
			tell("egress", false, fmt.Sprintf("source address %s leaves as %v, which is registered (seen by %s at %s; behind a NAT with several addresses this proves one of them)",
				sourceName(at.Source), at.Public, at.Echo, at.At.UTC().Format(time.RFC3339)), "")
		case at.Public.IsValid():
			tell("egress", true, fmt.Sprintf("source address %s leaves as %v, and no registered addresses are known", sourceName(at.Source), at.Public), "set SALLYPORT_EGRESS_ALLOWED")
		}
	}
	for _, o := range a.reg.Snapshot().Orgs() {
		if _, err := a.out.Source(o.Key, o.Egress); err != nil && !o.Disabled {
			tell("egress", false, fmt.Sprintf("org %s leaves by %v alone, which is another replica's: here its calls get egress_unverified", o.Name, o.Egress), "")
		}
	}
	for _, l := range a.c.Listen {
		if l.Kind == config.KindPlain && !l.Loopback() {
			tell("listeners", true, l.String()+" takes passwords in clear from the network", "listen on https:// with SALLYPORT_TLS_CERT and SALLYPORT_TLS_KEY")
		}
	}
	return all
}

// checkShared looks at the server of a shared store.
func (a *app) checkShared(ctx context.Context, tell func(check string, wrong bool, what, hint string)) {
	if a.shared == nil {
		return
	}
	f, err := a.shared.Check(ctx)
	if err != nil {
		tell("store", true, err.Error(), "living access tokens are served meanwhile; nothing is exchanged")
		return
	}
	for _, m := range f.Missing {
		tell("store", true, m.Error(), "give the user the rights of the ACL line in the documentation of the Redis store")
	}
	for _, n := range f.Nodes {
		tell("store", n.Role != "master", fmt.Sprintf("Redis %s at %s is a %s with %d replicas in step", n.Version, n.Address, n.Role, n.Replicas),
			"SALLYPORT_STORE must lead to the master: name the Sentinels, or the Cluster")
		if n.Evicts {
			tell("store", true, fmt.Sprintf("Redis at %s may throw records away when its memory is full (maxmemory-policy %s)", n.Address, n.Policy), "set maxmemory-policy noeviction")
		}
		if !n.AppendTo {
			tell("store", true, fmt.Sprintf("Redis at %s writes no append-only file: a restart loses what the last dump lacks, and every replica heals it from its journal", n.Address),
				"set appendonly yes, with appendfsync everysec or always")
		} else if n.Fsync == "no" {
			tell("store", true, fmt.Sprintf("Redis at %s leaves it to the kernel when its append-only file reaches the disk: a power cut loses half a minute and more", n.Address),
				"set appendfsync everysec or always")
		}
	}
	switch {
	case f.Short():
		tell("store", true, fmt.Sprintf("fewer replicas of Redis are in step than SALLYPORT_REDIS_WAIT asks for (%d): nothing is exchanged", f.Wait), "mend the replicas, or lower SALLYPORT_REDIS_WAIT")
	case a.journal.Ephemeral() && f.Wait == 0:
		tell("store", true, "the state directory's disk dies with the machine, and no replica of Redis must acknowledge a write", "mount a volume at the state directory, or set SALLYPORT_REDIS_WAIT=1 with a replica of Redis")
	}
	if !f.TLS {
		tell("store", false, "the connection to Redis isn't encrypted: what it carries is sealed, but who may write to it could take grants back", "")
	}
}
