package admin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/registry"
)

// maxBody is the largest body of any request but apply.
const maxBody = 64 << 10

// reply is an answer: body as JSON, or raw where it is set.
type reply struct {
	status int
	body   any
	raw    []byte
	mime   string // of raw
}

func ok(body any) reply { return reply{status: http.StatusOK, body: body} }

// route is one operation of the API. Its request has a body that was read already, and a context with a deadline.
type route struct {
	method, path string
	action       string // names a change for the audit; empty for a query
	limit        int64  // of the body; 0: maxBody
	serve        func(*http.Request) (reply, error)
}

func (s *Server) routes() []route {
	return []route{
		{method: "GET", path: "/v1/apps", serve: s.listApps},
		{method: "GET", path: "/v1/clients", serve: s.listClients},
		{method: "POST", path: "/v1/clients/{name}/secret", action: "client.secret", serve: s.addClientSecret},
		{method: "GET", path: "/v1/orgs", serve: s.listOrgs},
		{method: "GET", path: "/v1/orgs/{name}", serve: s.showOrg},
		{method: "PUT", path: "/v1/orgs/{name}/grant", action: "grant.import", serve: s.importGrant},
		{method: "DELETE", path: "/v1/orgs/{name}/grant", action: "grant.forget", serve: s.forget},
		{method: "POST", path: "/v1/orgs/{name}/refresh", action: "grant.refresh", serve: s.refresh},
		{method: "POST", path: "/v1/orgs/{name}/settle", action: "grant.settle", serve: s.settle},
		{method: "POST", path: "/v1/orgs/{name}/confirm", action: "grant.confirm", serve: s.confirm},
		{method: "POST", path: "/v1/orgs/{name}/revoke", action: "grant.revoke", serve: s.revoke},
		{method: "POST", path: "/v1/orgs/{name}/authorize", action: "grant.authorize", serve: s.authorize},
		{method: "POST", path: "/v1/orgs/{name}/authorize/complete", action: "grant.authorize.complete", serve: s.completeAuthorize},
		{method: "GET", path: "/v1/orgs/{name}/logins", serve: s.listLogins},
		{method: "GET", path: "/v1/egress", serve: s.showEgress},
		{method: "POST", path: "/v1/egress/probe", action: "egress.probe", serve: s.probeEgress},
		{method: "GET", path: "/v1/exchanges", serve: s.listExchanges},
		{method: "GET", path: "/v1/ca", serve: s.exportCA},
		{method: "POST", path: "/v1/ca/rotate", action: "ca.rotate", serve: s.rotateCA},
		{method: "GET", path: "/v1/doctor", serve: s.doctor},
		{method: "POST", path: "/v1/apply", action: "apply", limit: registry.MaxChange, serve: s.apply},
	}
}

// v1 serves the routes, and a problem for everything else.
func (s *Server) v1() http.Handler {
	mux := http.NewServeMux()
	methods := map[string][]string{}
	for _, rt := range s.routes() {
		mux.Handle(rt.method+" "+rt.path, s.handle(rt))
		methods[rt.path] = append(methods[rt.path], rt.method)
	}
	for path, allowed := range methods {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			writeProblem(w, ProblemError{Status: http.StatusMethodNotAllowed, Code: codeBadRequest, Detail: "this path takes " + strings.Join(allowed, " or ")})
		})
	}
	mux.Handle("/", problemHandler(ProblemError{Status: http.StatusNotFound, Code: codeNotFound, Detail: "there is no such path"}))
	return mux
}

// handle reads the body within its limits, runs the route, and answers. A change goes on when its caller hangs up:
// half of a change is worse than one that nobody waited for.
func (s *Server) handle(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.inFlight <- struct{}{}:
			defer func() { <-s.inFlight }()
		default:
			writeProblem(w, ProblemError{Status: http.StatusServiceUnavailable, Code: codeOverloaded, Temporary: true, RetryAfter: 1,
				Detail: "too many admin requests are under way", Hint: "try again in a second"})
			return
		}
		body, err := readBody(w, r, rt.limit)
		if err != nil {
			writeProblem(w, problemOf(err))
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		parent, limit := r.Context(), queryTimeout
		if rt.action != "" {
			parent, limit = context.WithoutCancel(parent), commandTimeout
		}
		ctx, cancel := context.WithTimeout(parent, limit)
		defer cancel()
		r = r.WithContext(ctx)
		answer, err := rt.serve(r)
		if rt.action != "" {
			s.audit(r, rt, answer, err)
		}
		if err != nil {
			p := problemOf(err)
			if p.Status == http.StatusInternalServerError {
				s.log.ErrorContext(ctx, "an admin request failed", "path", r.URL.Path, "error", err)
			}
			writeProblem(w, p)
			return
		}
		write(w, answer)
	})
}

// readBody reads at most limit bytes within bodyTimeout. It fails with a [ProblemError].
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if limit == 0 {
		limit = maxBody
	}
	// A recorder in a test, or a connection that is gone, has no deadline to set; the read then tells.
	deadline := http.NewResponseController(w)
	_ = deadline.SetReadDeadline(time.Now().Add(bodyTimeout))
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err == nil {
		// Cleared, or its end would end the request's context in the middle of a long command.
		_ = deadline.SetReadDeadline(time.Time{})
		return b, nil
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, &ProblemError{Status: http.StatusRequestEntityTooLarge, Code: codeBadRequest, Detail: "the body is too large"}
	}
	return nil, &ProblemError{Status: http.StatusBadRequest, Code: codeBadRequest, Detail: "the body could not be read in time"}
}
