package access

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/registry"
)

// defaultPaths are what a client without paths reaches; the credential list comes off.
var defaultPaths = []string{"/services/", "/cometd/", "/id/"}

// Request is what a policy judges.
type Request struct {
	Method string
	// Path is canonical, see [Canonical].
	Path     string
	RawQuery string
	// Override is the value of X-HTTP-Method-Override, empty without one.
	Override string
	// GRPC says that the request is a gRPC call.
	GRPC bool
}

// Policy is what one client may do, compiled once for a registry snapshot. It is never changed and safe for concurrent
// use.
type Policy struct {
	methods   []string // Empty: all.
	paths     []string
	own       bool // paths are the client's.
	composite bool
	report    bool
	execute   bool
	apexSOAP  bool
	secrets   bool // SOQL on AuthSession and OauthToken, both.
	session   bool
	oauth     bool
}

// NewPolicy compiles the policy of c; nil is a local caller, who has a client's defaults.
func NewPolicy(c *registry.Client) *Policy {
	if c == nil {
		return &Policy{paths: defaultPaths}
	}
	p := &Policy{
		methods:   c.Methods,
		paths:     defaultPaths,
		composite: c.Composite,
		report:    c.Mode == registry.ModeReport,
		execute:   slices.Contains(c.Allow, registry.AllowExecuteAnonymous),
		apexSOAP:  slices.Contains(c.Allow, registry.AllowApexSOAP),
		session:   slices.Contains(c.Allow, registry.AllowAuthSession),
		oauth:     slices.Contains(c.Allow, registry.AllowOauthToken),
	}
	p.secrets = p.session && p.oauth
	if len(c.Paths) > 0 {
		p.paths, p.own = c.Paths, true
	}
	return p
}

// Reports reports whether the client is in report mode: a [RefusalError] that is Reportable is told, not enforced.
func (p *Policy) Reports() bool { return p.report }

// Check judges r. Its [RefusalError] is [RequestNotAllowed], or [BadRequest] for contradicting methods. It doesn't allocate
// when it finds nothing.
func (p *Policy) Check(r Request) *RefusalError {
	if why := credentialPath(r.Path); why != "" {
		return refuse(RequestNotAllowed, "%s", why)
	}
	if refusal := p.checkMethod(r); refusal != nil {
		return refusal
	}
	if !r.GRPC || p.own {
		if !slices.ContainsFunc(p.paths, func(prefix string) bool { return under(r.Path, prefix) }) {
			return report("this client may not reach the path %s: paths of the client says what it may", r.Path)
		}
	}
	if IsComposite(r.Path) && !p.composite && (len(p.methods) > 0 || p.own) {
		return report("a composite, batch or graph request can hold any method and path, which this client may not use: " +
			"composite: true allows it")
	}
	if foldUnder(r.Path, "/services/Soap/s") && !p.apexSOAP {
		return report("the Apex SOAP API can run any code: allow: [%s] on the client allows it", registry.AllowApexSOAP)
	}
	if p.secrets && p.execute {
		return nil
	}
	return p.checkNames(r)
}

// checkNames looks for objects that reveal sessions and for code that can print one.
func (p *Policy) checkNames(r Request) *RefusalError {
	for rest := r.Path[1:]; rest != ""; {
		var segment string
		segment, rest, _ = strings.Cut(rest, "/")
		for n := range names {
			if strings.EqualFold(bare(segment), sensitive[n].written) && !p.mayUse(n) {
				return p.refuseName(n)
			}
		}
	}
	if r.RawQuery == "" {
		return nil
	}
	var s scanner
	for i := range len(r.RawQuery) {
		if n := s.feed(r.RawQuery[i]); n != none && n != comment && !p.mayUse(n) {
			return p.refuseName(n)
		}
	}
	return nil
}

func (p *Policy) mayUse(n name) bool {
	switch n {
	case authSession:
		return p.session
	case oauthToken:
		return p.oauth
	case executeAnonymous:
		return p.execute
	case cdata, comment:
		return p.secrets
	default:
		return false
	}
}

func (p *Policy) refuseName(n name) *RefusalError {
	switch n {
	case appsOAuth:
		return refuse(RequestNotAllowed, "%s", whyApps)
	case oauth2:
		return refuse(RequestNotAllowed, "%s", whyOAuth)
	case reference:
		return refuse(RequestNotAllowed, "a sub-request's url has a reference, @{…}, before it tells the resource or object, "+
			"or one of the client's paths: what it leads to can't be judged")
	case cdata:
		return report("a CDATA section can hide a name that this client may not use: write the text without one")
	case comment:
		return report("an XML comment can hide a name that this client may not use: leave it out")
	default:
	}
	return report("%s can reveal a session: allow: [%s] on the client allows it", sensitive[n].written, sensitive[n].written)
}

// checkMethod judges the method that Salesforce will act on. An override of POST by PATCH, PUT or DELETE is what
// clients use it for and counts instead; any other must be allowed beside the method that is sent, since it may be
// ignored.
func (p *Policy) checkMethod(r Request) *RefusalError {
	override, ok := r.Override, true
	if r.RawQuery != "" {
		override, ok = queryOverride(r.RawQuery, override)
	}
	if !ok {
		return refuse(BadRequest, "the request overrides its method with different values")
	}
	if override != "" {
		if !p.allows(override) {
			return report("this client may not use the method %s, not as an override either", override)
		}
		if r.Method == "POST" && (equalAny(override, "PATCH", "PUT", "DELETE")) {
			return nil
		}
	}
	if !p.allows(r.Method) {
		return report("this client may not use the method %s: methods of the client says what it may", r.Method)
	}
	return nil
}

func (p *Policy) allows(method string) bool {
	return len(p.methods) == 0 || slices.ContainsFunc(p.methods, func(m string) bool { return strings.EqualFold(m, method) })
}

func equalAny(s string, of ...string) bool {
	return slices.ContainsFunc(of, func(o string) bool { return strings.EqualFold(o, s) })
}

// queryOverride adds the _HttpMethod parameters of query to override; false when they contradict each other.
func queryOverride(query, override string) (string, bool) {
	for rest := query; rest != ""; {
		var pair string
		pair, rest = cutPair(rest)
		key, value, _ := strings.Cut(pair, "=")
		if !strings.EqualFold(unescape(key), "_HttpMethod") {
			continue
		}
		value = unescape(value)
		if override != "" && !strings.EqualFold(override, value) {
			return "", false
		}
		override = value
	}
	return override, true
}

// cutPair returns the first pair of a query and the rest. A semicolon ends a pair as well, since not every server knows
// better.
func cutPair(query string) (pair, rest string) {
	if i := strings.IndexAny(query, "&;"); i >= 0 {
		return query[:i], query[i+1:]
	}
	return query, ""
}

// bare returns a segment without the suffix by which a resource's form can be chosen (Connect REST API Developer Guide,
// "Specifying Response Format").
func bare(segment string) string {
	for _, suffix := range []string{".json", ".xml"} {
		if n := len(segment) - len(suffix); n > 0 && strings.EqualFold(segment[n:], suffix) {
			return segment[:n]
		}
	}
	return segment
}

// under reports whether path is prefix or lies below it: a prefix ends at a segment's end.
func under(path, prefix string) bool {
	if !strings.HasPrefix(path, prefix) {
		return false
	}
	return len(path) == len(prefix) || strings.HasSuffix(prefix, "/") || path[len(prefix)] == '/'
}

// IsComposite reports whether a request to path carries other requests: composite, batch, graph and tree resources.
func IsComposite(path string) bool {
	if !strings.HasPrefix(path, "/services/") {
		return false
	}
	last := ""
	for rest := path[1:]; rest != ""; {
		var segment string
		segment, rest, _ = strings.Cut(rest, "/")
		segment = bare(segment)
		if strings.EqualFold(segment, "composite") {
			return true
		}
		if strings.EqualFold(segment, "batch") && equalAny(last, "connect", "chatter") {
			return true
		}
		last = segment
	}
	return false
}
