package sfsim

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// call is one request to an API.
type call struct {
	*http.Request
	name string // host
	path string // cleaned
	org  *org   // nil at login hosts
	cut  bool   // the handler must abort the connection
}

// serveAPI runs everything but the OAuth endpoints that have a page of their
// own. It takes no lock unless a fault is armed or something is wrong.
func (s *Sim) serveAPI(w http.ResponseWriter, r *http.Request, p, name string, h host) {
	c := &call{Request: r, name: name, path: p, org: h.org}
	handle := s.route(c, h)
	if f := s.apiFault(c); f != nil {
		s.serveFaulty(w, c, f, handle)
		return
	}
	handle(w, c)
	if c.cut {
		panic(http.ErrAbortHandler)
	}
}

func (s *Sim) route(c *call, h host) func(http.ResponseWriter, *call) {
	switch p := c.path; {
	case h.kind == pubsubHost:
		return s.pubsub
	case p == "/services/oauth2/userinfo" || strings.HasPrefix(p, "/id/"):
		return s.identity
	case strings.HasPrefix(p, "/services/Soap/"):
		return s.soap
	case h.org == nil || h.kind == setupHost:
		return notFound
	case p == "/services/data" || strings.HasPrefix(p, "/services/data/"):
		return s.data
	case strings.HasPrefix(p, "/services/apexrest/"):
		return s.session(s.echo)
	case strings.HasPrefix(p, "/services/async/"):
		return s.bulk
	case strings.HasPrefix(p, "/cometd/"):
		return s.cometd
	case p == "/services/oauth2/singleaccess":
		return s.singleAccess
	case p == "/secur/frontdoor.jsp":
		return s.frontdoor
	case p == homePage:
		return s.home
	}
	return notFound
}

func notFound(w http.ResponseWriter, c *call) {
	http.Error(w, "<html><body>URL No Longer Exists</body></html>", http.StatusNotFound)
}

func (s *Sim) apiFault(c *call) *Fault {
	if s.faults.armed.Load() == 0 {
		return nil
	}
	token, _ := bearer(c.Header.Get("Authorization"))
	if token == "" {
		token = c.Header.Get("X-Sfdc-Session")
	}
	if token == "" {
		token = c.Header.Get("Accesstoken")
	}
	return s.faults.take(Seen{Endpoint: EndpointAPI, Method: c.Method, Host: c.name, Path: c.path, Source: sourceOf(c.Request), Token: s.refOf(token)})
}

func (s *Sim) serveFaulty(w http.ResponseWriter, c *call, f *Fault, handle func(http.ResponseWriter, *call)) {
	abort := func(is bool) {
		if is {
			panic(http.ErrAbortHandler)
		}
	}
	abort(!s.before(c.Context(), f))
	if f.replaces() {
		if f.AfterCommit {
			handle(&discard{header: http.Header{}}, c)
		}
		abort(!s.wait(c.Context(), f.After, f.HoldAfter))
		p := f.plan(answer{})
		p.write(w, c.Request)
		abort(p.broken)
		return
	}
	handle(&faultyWriter{ResponseWriter: w, sim: s, call: c, fault: f}, c)
	abort(c.cut)
}

// discard takes the answer of a call whose true answer nobody gets.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

// faultyWriter waits before the first byte and breaks off after some.
type faultyWriter struct {
	http.ResponseWriter
	sim    *Sim
	call   *call
	fault  *Fault
	begun  bool
	copied int
}

func (w *faultyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *faultyWriter) WriteHeader(status int) {
	if !w.begun {
		w.begun = true
		if !w.sim.wait(w.call.Context(), w.fault.After, w.fault.HoldAfter) {
			panic(http.ErrAbortHandler)
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *faultyWriter) Write(p []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	if limit := w.fault.CutAfter; limit > 0 && w.copied+len(p) > limit {
		n, _ := w.ResponseWriter.Write(p[:limit-w.copied])
		w.copied += n
		_ = http.NewResponseController(w.ResponseWriter).Flush() // the connection is about to break anyway
		w.call.cut = true
		return n, http.ErrAbortHandler
	}
	n, err := w.ResponseWriter.Write(p)
	w.copied += n
	return n, err
}

// bearer returns the token of an Authorization header: Bearer or OAuth. ok is
// false for a header of another form.
func bearer(header string) (token string, ok bool) {
	if header == "" {
		return "", true
	}
	scheme, token, found := strings.Cut(header, " ")
	if !found || !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "OAuth") {
		return "", false
	}
	return strings.TrimSpace(token), true
}

// enter admits a call that carries token, counts it and restarts the token's
// inactivity clock. It returns nil when the session is dead.
func (s *Sim) enter(c *call, token string) *access {
	s.stray(c, token)
	a := s.access(token)
	if a == nil {
		s.ledger.anonymousRefused.Add(1)
		if token != "" {
			s.violate(c, UnknownCredential, "fingerprint "+Fingerprint(token))
		}
		return nil
	}
	if c.org != nil && a.org != c.org {
		s.violate(c, ForeignToken, "access token of "+a.org.Host)
		a.refused.Add(1)
		return nil
	}
	now := s.now()
	elsewhere := a.org.lockIP.Load() && a.source.IsValid() && a.source != sourceOf(c.Request)
	if elsewhere || !a.alive(now) {
		a.refused.Add(1)
		return nil
	}
	a.touch(now)
	a.ok.Add(1)
	return a
}

// stray records credentials in places other than the one that counts, if
// Salesforce never issued them.
func (s *Sim) stray(c *call, counted string) {
	check := func(where, token string) {
		if token != "" && token != counted && s.access(token) == nil {
			s.violate(c, UnknownCredential, where+", fingerprint "+Fingerprint(token))
		}
	}
	if v := c.Header.Get("Authorization"); v != "" {
		if token, ok := bearer(v); ok {
			check("Authorization", token)
		} else {
			s.violate(c, UnknownCredential, "Authorization of another scheme")
		}
	}
	check("X-SFDC-Session", c.Header.Get("X-Sfdc-Session"))
	check("accesstoken", c.Header.Get("Accesstoken"))
	if c.Header.Get("Cookie") != "" {
		if k, err := c.Cookie("sid"); err == nil {
			check("cookie sid", k.Value)
		}
	}
	if c.URL.RawQuery != "" {
		q := c.URL.Query()
		check("query", q.Get("access_token"))
		check("query", q.Get("oauth_token"))
	}
}

func (s *Sim) violate(c *call, kind ViolationKind, detail string) {
	s.ledger.violate(s.now(), kind, c.name, c.path, detail)
}

// session wraps a REST handler in the session check.
func (s *Sim) session(next func(http.ResponseWriter, *call, *access)) func(http.ResponseWriter, *call) {
	return func(w http.ResponseWriter, c *call) {
		token, ok := bearer(c.Header.Get("Authorization"))
		a := s.enter(c, token)
		switch {
		case !ok:
			restError(w, c, http.StatusUnauthorized, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE")
		case a == nil:
			restError(w, c, http.StatusUnauthorized, "INVALID_SESSION_ID", sessionExpiredMessage)
		default:
			next(w, c, a)
		}
	}
}

// stamp sets the headers of an API's answer.
func stamp(w http.ResponseWriter, a *access) {
	h := w.Header()
	h.Set("Sforce-Limit-Info", "api-usage="+strconv.FormatInt(a.org.calls.Add(1), 10)+"/5000000")
	h.Set("Sfsim-Generation", strconv.Itoa(a.generation))
}

// pause waits between the parts of a stream. It reports false when the caller
// has gone or the server closes.
func pause(c *call, d time.Duration) bool {
	if d <= 0 {
		return c.Context().Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.Context().Done():
		return false
	}
}
