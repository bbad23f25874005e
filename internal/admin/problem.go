package admin

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/tokens"
)

// The codes of problems besides those of tokens.Code.
const (
	codeBadRequest   = "bad_request"
	codeUnauthorized = "unauthorized"
	codeForbidden    = "request_not_allowed"
	codeNotFound     = "not_found"
	codeNotServed    = "not_served"
	codeInvalid      = "invalid_change"
	codeConflict     = string(tokens.CodeConflict)
	codeOverloaded   = "overloaded"
	codeTimeout      = "timeout"
	codeInternal     = "internal"
)

// ProblemError is why a request failed (RFC 9457). It holds no secret. [Client] returns it as an error.
type ProblemError struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"` // what happened
	Code   string `json:"code"`
	Hint   string `json:"hint,omitempty"` // what to do next
	Org    string `json:"org,omitempty"`
	// Temporary says that trying again is safe and may help, after RetryAfter seconds where that is known.
	Temporary  bool             `json:"temporary,omitempty"`
	RetryAfter int              `json:"retryAfter,omitempty"`
	Faults     []registry.Fault `json:"faults,omitempty"` // of a change
	Source     string           `json:"source,omitempty"` // the file that the change came from
}

// Error tells what happened and what to do, and lists the faults of a change.
func (p *ProblemError) Error() string {
	if len(p.Faults) > 0 {
		return (&registry.InvalidError{Source: p.Source, Faults: p.Faults}).Error()
	}
	s := p.Detail
	if p.Org != "" {
		s = "org " + p.Org + ": " + s
	}
	if p.Hint != "" {
		s += "; " + p.Hint
	}
	return s
}

// statuses says how a code of the domain is answered; others are 500.
var statuses = map[tokens.Code]int{
	tokens.CodeOrgNotAllowed:     http.StatusNotFound,
	tokens.CodeConflict:          http.StatusConflict,
	tokens.CodeReauthRequired:    http.StatusConflict,
	tokens.CodeAddressNotAllowed: http.StatusForbidden,
	tokens.CodeMisconfigured:     http.StatusBadGateway,
	tokens.CodeSessionRejected:   http.StatusBadGateway,
	tokens.CodeUpstream:          http.StatusBadGateway,
	tokens.CodeUpstreamTLS:       http.StatusBadGateway,
	tokens.CodeUnavailable:       http.StatusServiceUnavailable,
	tokens.CodeEgressUnverified:  http.StatusServiceUnavailable,
	tokens.CodeShuttingDown:      http.StatusServiceUnavailable,
}

// problemOf is the one map from an error to an answer.
func problemOf(err error) ProblemError {
	var (
		problem  *ProblemError
		domain   *tokens.Error
		invalid  *registry.InvalidError
		unknown  *registry.UnknownError
		conflict *ConflictError
	)
	switch {
	case errors.As(err, &problem):
		return *problem
	case errors.As(err, &domain):
		p := ProblemError{Status: statuses[domain.Code], Code: string(domain.Code), Detail: domain.What, Hint: domain.Hint, Org: string(domain.Org),
			Temporary: domain.Temporary, RetryAfter: int(math.Ceil(domain.RetryAfter.Seconds()))}
		if p.Status == 0 {
			p.Status = http.StatusInternalServerError
		}
		return p
	case errors.As(err, &invalid):
		return ProblemError{Status: http.StatusUnprocessableEntity, Code: codeInvalid, Detail: "nothing was applied: the change has faults",
			Faults: invalid.Faults, Source: invalid.Source}
	case errors.As(err, &unknown):
		return ProblemError{Status: http.StatusNotFound, Code: codeNotFound, Detail: unknown.Error()}
	case errors.As(err, &conflict):
		return ProblemError{Status: http.StatusConflict, Code: codeConflict, Detail: conflict.What}
	case errors.Is(err, registry.ErrConflict):
		return ProblemError{Status: http.StatusConflict, Code: codeConflict, Temporary: true, Detail: err.Error()}
	case errors.Is(err, tokens.ErrDegraded):
		return ProblemError{Status: http.StatusServiceUnavailable, Code: string(tokens.CodeUnavailable), Detail: err.Error()}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return ProblemError{Status: http.StatusGatewayTimeout, Code: codeTimeout, Temporary: true, Detail: "it took too long and may still go on",
			Hint: "look at sallyport grant show before you try again"}
	}
	return ProblemError{Status: http.StatusInternalServerError, Code: codeInternal, Detail: err.Error(), Hint: "the log of sallyport serve has more"}
}

func writeProblem(w http.ResponseWriter, p ProblemError) {
	p.Type, p.Title = "urn:sallyport:problem:"+p.Code, http.StatusText(p.Status)
	b, err := json.Marshal(p)
	if err != nil {
		b = []byte(`{"type":"about:blank","title":"Internal Server Error","status":500,"code":"internal"}`)
	}
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	send(w, p.Status, "application/problem+json", b)
}

func problemHandler(p ProblemError) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeProblem(w, p) })
}

func write(w http.ResponseWriter, a reply) {
	if a.raw != nil {
		send(w, a.status, a.mime, a.raw)
		return
	}
	b, err := json.Marshal(a.body)
	if err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	send(w, a.status, "application/json", append(b, '\n'))
}

func send(w http.ResponseWriter, status int, mime string, b []byte) {
	h := w.Header()
	h.Set("Content-Type", mime)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(b) // The caller is gone; there is nobody to tell.
}
