package proxy

import (
	"net/http"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/proxy/access"
	"github.com/sallyport/sallyport/tokens"
)

// orgState is what is kept for an org as long as the process lives.
type orgState struct {
	id       tokens.OrgID
	injector injector
	metrics  orgMetrics

	calls, polls *gate
	shares       map[string]share // By client, empty for local callers. Guarded by the mu of orgs.
}

// orgs has the orgState of each key.
type orgs struct {
	limit int64 // Of requests under way to an org.

	// mu guards of, and the shares in it.
	mu sync.Mutex
	of map[string]*orgState
}

// get returns the state of the org of that key, and what the client of that name has of it.
func (os *orgs) get(key, client string) (*orgState, share) {
	os.mu.Lock()
	defer os.mu.Unlock()
	o := os.of[key]
	if o == nil {
		if os.of == nil {
			os.of = make(map[string]*orgState)
		}
		o = &orgState{
			id: tokens.OrgID(key), calls: newOrgGate(os.limit), polls: newOrgGate(os.limit * pollsPerCall), shares: make(map[string]share),
		}
		os.of[key] = o
	}
	own, ok := o.shares[client]
	if !ok {
		own = share{semaphore.NewWeighted(o.calls.share), semaphore.NewWeighted(o.polls.share)}
		o.shares[client] = own
	}
	return o, own
}

// route is the way to one org.
type route struct {
	org   *registry.Org
	state *orgState
	share share
	trip  http.RoundTripper
}

// binding is what a tunnel's requests need of one registry snapshot. It is never changed.
type binding struct {
	snap    *registry.Snapshot
	stands  bool // The caller is still who it proved to be.
	policy  *access.Policy
	limit   *limiter
	trusted bool // The client's traceparent is a parent.
	// to is the org when the request itself doesn't choose; if there is none, refusal says why.
	to      route
	refusal *access.RefusalError
}

// bind returns t's binding to the current snapshot. It allocates only after a change of the registry.
func (s *Server) bind(t *tunnel) *binding {
	snap := s.opts.Registry.Snapshot()
	if b := t.binding.Load(); b != nil && b.snap == snap {
		return b
	}
	client := snap.Client(t.id.Name)
	b := &binding{
		snap:    snap,
		stands:  s.identify.Stands(snap, t.id),
		policy:  access.NewPolicy(client),
		limit:   s.limits.get(client),
		trusted: t.local || client != nil && client.Traces == registry.TracesTrusted,
	}
	b.to, b.refusal = s.route(b.snap, t, "")
	t.binding.Store(b)
	return b
}

// route finds the org of a request that names it, or doesn't if wanted is empty.
func (s *Server) route(snap *registry.Snapshot, t *tunnel, wanted string) (route, *access.RefusalError) {
	org, refusal := access.ChooseOrg(snap, t.id, t.target, t.userOrg, t.connectOrg, wanted)
	if refusal != nil {
		return route{}, refusal
	}
	state, own := s.orgs.get(org.Key, t.id.Name)
	return route{org: org, state: state, share: own, trip: s.opts.Upstream.RoundTripper(state.id)}, nil
}
