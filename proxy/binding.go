package proxy

import (
	"net/http"
	"sync"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/proxy/access"
	"github.com/sallyport/sallyport/tokens"
)

// orgState is what is kept for an org as long as the process lives.
type orgState struct {
	id       tokens.OrgID
	injector injector
	metrics  orgMetrics
}

// orgs has the orgState of each key.
type orgs struct {
	// mu guards of.
	mu sync.Mutex
	of map[string]*orgState
}

func (os *orgs) get(key string) *orgState {
	os.mu.Lock()
	defer os.mu.Unlock()
	o := os.of[key]
	if o == nil {
		if os.of == nil {
			os.of = make(map[string]*orgState)
		}
		o = &orgState{id: tokens.OrgID(key)}
		os.of[key] = o
	}
	return o
}

// route is the way to one org.
type route struct {
	org   *registry.Org
	state *orgState
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
	state := s.orgs.get(org.Key)
	return route{org: org, state: state, trip: s.opts.Upstream.RoundTripper(state.id)}, nil
}
