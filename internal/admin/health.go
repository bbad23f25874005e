package admin

import (
	"context"
	"net/http"
)

// The states of [Readiness].
const (
	StatusOK       = "ok"
	StatusDegraded = "degraded" // somebody is served, and something is wrong
	StatusUnready  = "unready"  // nobody can be served
)

// Readiness says whether a process can serve somebody. The zero Readiness is unready.
type Readiness struct {
	Status  string   `json:"status"`
	Reasons []string `json:"reasons"` // sentences for people; never a secret
	// Egress is each source address with its standing, since when and by whose word.
	Egress []EgressSource `json:"egress,omitempty"`
}

// Waiting answers for a process that can't serve anybody yet, and says why: it
// is alive, and not ready.
func Waiting(why string) http.Handler {
	mux := http.NewServeMux()
	health(mux, func(context.Context) Readiness { return Readiness{Status: StatusUnready, Reasons: []string{why}} })
	return mux
}

// health mounts what needs no token.
func (s *Server) health(mux *http.ServeMux) {
	health(mux, s.o.Ready)
	if s.o.Metrics != nil {
		mux.Handle("GET /metrics", s.o.Metrics)
	}
}

func health(mux *http.ServeMux, how func(context.Context) Readiness) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		send(w, http.StatusOK, "text/plain; charset=utf-8", []byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ready, status := how(r.Context()), http.StatusOK
		if ready.Status != StatusOK && ready.Status != StatusDegraded {
			ready.Status, status = StatusUnready, http.StatusServiceUnavailable
		}
		if ready.Reasons == nil {
			ready.Reasons = []string{}
		}
		write(w, reply{status: status, body: ready})
	})
	mux.Handle("/", problemHandler(ProblemError{Status: http.StatusNotFound, Code: codeNotFound, Detail: "there is no such path"}))
}
