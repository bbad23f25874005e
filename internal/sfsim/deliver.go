package sfsim

import (
	"maps"
	"net"
	"net/http"
	"strconv"
)

// answer is what goes onto the wire.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// replaces reports whether the fault takes the place of the true answer.
func (f *Fault) replaces() bool { return f.Answer != nil || f.Lose || f.Reset }

// prevents reports whether the fault keeps the state from changing.
func (f *Fault) prevents() bool { return f.replaces() && !f.AfterCommit }

// truncated returns how much of a body the fault leaves.
func (f *Fault) truncated(body []byte) []byte {
	switch n := f.Truncate; {
	case n > 0 && n < len(body):
		return body[:n]
	case n < 0:
		return body[:max(0, len(body)+n)]
	}
	return body
}

// plan is what will be written of an answer, decided before its first byte: who
// has seen an answer must find it in the ledger.
type plan struct {
	answer
	length int  // announced
	reset  bool // RST instead of a byte
	broken bool // the handler must abort the connection
}

func (f *Fault) plan(a answer) plan {
	if f.Lose || f.Reset {
		return plan{reset: f.Reset, broken: true}
	}
	if f.Answer != nil {
		a = answer{f.Answer.Status, f.Answer.Header, []byte(f.Answer.Body)}
	}
	a.body = f.truncated(a.body)
	p := plan{answer: a, length: len(a.body)}
	if f.CutAfter > 0 && f.CutAfter < len(a.body) {
		p.body, p.broken = a.body[:f.CutAfter], true
	}
	return p
}

// write carries out a plan. It reports whether all that was planned was written,
// to a caller who was still there.
func (p plan) write(w http.ResponseWriter, r *http.Request) bool {
	// Before the first byte: whoever has read the last one may close at once.
	there := r.Context().Err() == nil
	if p.reset {
		resetConn(r)
	}
	if p.status == 0 {
		return false
	}
	maps.Copy(w.Header(), p.header)
	if p.status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(p.length))
	}
	w.WriteHeader(p.status)
	if len(p.body) > 0 {
		if _, err := w.Write(p.body); err != nil {
			return false
		}
	}
	if len(p.body) == 0 && p.header.Get("Grpc-Status") != "" {
		return there // a flush would part the headers from the stream's end
	}
	return http.NewResponseController(w).Flush() == nil && there
}

type connKey struct{}

// resetConn makes the close of the request's connection send RST. Without a
// real connection it does nothing.
func resetConn(r *http.Request) {
	c, _ := r.Context().Value(connKey{}).(net.Conn)
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // a connection that is gone needs no RST
		_ = t.Close()
	}
}

// serveOAuth runs an OAuth endpoint other than the token endpoint under its fault.
func (s *Sim) serveOAuth(w http.ResponseWriter, r *http.Request, name string, h host, e Endpoint, decide func(*request) answer) {
	q := readRequest(r, name, h)
	if f := s.faults.take(q.seen(e, s.refOf(q.params.Get("token")))); f != nil {
		q.fault = f
	}
	f := q.fault
	if !s.before(r.Context(), f) {
		panic(http.ErrAbortHandler)
	}
	var a answer
	if !f.prevents() {
		a = decide(q)
	}
	if !s.wait(r.Context(), f.After, f.HoldAfter) {
		panic(http.ErrAbortHandler)
	}
	p := f.plan(a)
	p.write(w, r)
	if p.broken {
		panic(http.ErrAbortHandler)
	}
}

// Lookup names any token, access or refresh, and tells its state without counting
// as use.
func (s *Sim) Lookup(token string) TokenRef { return s.refOf(token) }

func (s *Sim) refOf(token string) TokenRef {
	if a := s.access(token); a != nil {
		ref := TokenRef{Fingerprint: a.fingerprint, Grant: a.grant, Index: a.generation, State: "dead"}
		if a.alive(s.now()) {
			ref.State = "current"
		}
		return ref
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if rt := s.refreshes[token]; rt != nil {
		return rt.ref()
	}
	return TokenRef{Fingerprint: Fingerprint(token), State: "unknown"}
}
