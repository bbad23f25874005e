package access

import (
	"io"
	"strings"
	"sync/atomic"
)

// name is something in a query or body that a client's allow must hold.
type name uint8

const (
	authSession name = iota
	oauthToken
	executeAnonymous
	appsOAuth
	oauth2
	cdata   // hides what XML says
	comment // parts what XML says in one
	names   // How many there are.
	none    = names

	reference = names + 1 // In the path of a sub-request, see references.
)

// sensitive has each name as it is written in allow, and in lower case as it is searched for.
var sensitive = [names]struct{ written, lower string }{
	authSession:      {"AuthSession", "authsession"},
	oauthToken:       {"OauthToken", "oauthtoken"},
	executeAnonymous: {"executeAnonymous", "executeanonymous"},
	appsOAuth:        {"apps/oauth", "/apps/oauth"},
	oauth2:           {"services/oauth2", "/services/oauth2/"},
	cdata:            {"CDATA", "<![cdata["},
	comment:          {"an XML comment", "<!--"},
}

// scanner finds the sensitive names in a stream of bytes, whatever their case and even if parts of them are
// percent-encoded, written as JSON escapes or as XML character references. It errs on the side of finding. The zero
// scanner is ready.
type scanner struct {
	escape  escape
	buf     [10]byte // What of the escape was read, without the character that began it.
	n       int
	pct     int // Digits still wanted of a percent-escape.
	pctVal  byte
	pctChar byte // Its first digit, as it stood.
	slash   bool // The last character was a slash: several count as one.
	matched [names]int
	refs    references
}

// escape is the kind of escape that a scanner is in.
type escape uint8

const (
	noEscape escape = iota
	jsonEscape
	xmlReference
)

// feed takes the next byte and returns the name that ends with it, or none.
func (s *scanner) feed(c byte) name {
	switch {
	case s.escape == jsonEscape:
		return s.stepJSON(c)
	case s.escape == xmlReference:
		return s.stepXML(c)
	case c == '\\':
		s.escape, s.n = jsonEscape, 0
		return none
	case c == '&':
		s.escape, s.n = xmlReference, 0
		return none
	}
	return s.percent(c)
}

// stepJSON reads what follows a backslash (RFC 8259, section 7): u and four digits, or one character.
func (s *scanner) stepJSON(c byte) name {
	if s.n == 0 && c != 'u' {
		s.escape = noEscape
		return s.percent(c)
	}
	s.buf[s.n] = c
	if s.n++; s.n < 5 {
		return none
	}
	s.escape = noEscape
	hi, ok1 := unhex(s.buf[1], s.buf[2])
	lo, ok2 := unhex(s.buf[3], s.buf[4])
	if !ok1 || !ok2 || hi != 0 {
		return s.percent(noLetter)
	}
	return s.percent(lo)
}

// stepXML reads what follows an ampersand: a character reference (XML 1.0, section 4.1), or anything else, which then
// counts as it stands.
func (s *scanner) stepXML(c byte) name {
	if s.n == 0 && c != '#' {
		s.escape = noEscape
		s.percent('&')
		return s.feed(c)
	}
	hex := s.n > 1 && (s.buf[1] == 'x' || s.buf[1] == 'X')
	switch _, digit := hexDigit(c); {
	case c == ';':
		s.escape = noEscape
		return s.percent(characterOf(s.buf[1:s.n]))
	case c == '0' && (s.n == 1 || s.n == 2 && hex):
		return none // Leading zeros may be any number.
	case s.n == 0, digit, s.n == 1 && (c == 'x' || c == 'X'):
		s.buf[s.n] = c
		if s.n++; s.n < len(s.buf) {
			return none
		}
	}
	// No reference: what was read counts as it stands.
	s.escape = noEscape
	s.percent('&')
	found := none
	for _, b := range s.buf[:s.n] {
		if n := s.percent(b); n != none {
			found = n
		}
	}
	if s.n == len(s.buf) {
		return found // c is the last of them
	}
	if n := s.feed(c); n != none {
		return n
	}
	return found
}

// noLetter is no character of any name.
const noLetter = 0xff

// characterOf reads the digits of a character reference; noLetter for what is no ASCII.
func characterOf(digits []byte) byte {
	base := 10
	if len(digits) > 0 && (digits[0] == 'x' || digits[0] == 'X') {
		base, digits = 16, digits[1:]
	}
	n := 0
	for _, d := range digits {
		v, ok := hexDigit(d)
		if !ok || int(v) >= base || n > 0x7f {
			return noLetter
		}
		n = n*base + int(v)
	}
	if n > 0x7f {
		return noLetter
	}
	return byte(n)
}

func (s *scanner) percent(c byte) name {
	if s.pct > 0 {
		if v, ok := hexDigit(c); ok {
			s.pctVal = s.pctVal<<4 | v
			if s.pct--; s.pct > 0 {
				s.pctChar = c
				return none
			}
			return s.match(s.pctVal)
		}
		s.match('%') // No escape: it counts as it stands. No name ends with these two.
		if s.pct == 1 {
			s.match(s.pctChar)
		}
		s.pct = 0
	}
	if c == '%' {
		s.pct, s.pctVal = 2, 0
		return none
	}
	return s.match(c)
}

// match follows each name. It falls back to the first letter only: a name that begins inside another beginning of
// itself ("oauthtoauthtoken") is no name of its own.
func (s *scanner) match(c byte) name {
	if c == 0 || c == '/' && s.slash { // Between the letters of UTF-16; and // is /.
		return none
	}
	s.slash = c == '/'
	refers := s.refs.feed(c)
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	found := none
	if refers {
		found = reference
	}
	for n := range names {
		word := sensitive[n].lower
		switch at := s.matched[n]; c {
		case word[at]:
			s.matched[n]++
			if s.matched[n] == len(word) {
				s.matched[n], found = 0, n
			}
		case word[0]:
			s.matched[n] = 1
		default:
			s.matched[n] = 0
		}
	}
	return found
}

// NeedsScan reports whether the body of a request to the canonical path can name what p doesn't allow: requests that
// carry other requests, and those whose query stands in the body.
func (p *Policy) NeedsScan(path string) bool {
	if !strings.HasPrefix(path, "/services/") {
		return false
	}
	if IsComposite(path) {
		return true
	}
	if p.secrets {
		return false
	}
	if foldUnder(path, "/services/async") {
		// The job names the object; its batches must be on the same one.
		return strings.Count(strings.TrimSuffix(path, "/"), "/") == 4
	}
	last := path[strings.LastIndexByte(strings.TrimSuffix(path, "/"), '/')+1:]
	return equalAny(bare(strings.TrimSuffix(last, "/")), "query", "queryAll", "graphql", "parameterizedSearch", "search")
}

// Scan returns body read through a scanner. When the client may not use what is named in it, Read fails with a
// [RefusalError] before the last byte was given, so that the request never reaches Salesforce whole. In report mode it reads
// on, and [Scanned.Refusal] tells.
func (p *Policy) Scan(body io.ReadCloser) *Scanned {
	return &Scanned{body: body, policy: p}
}

// ScanXML is Scan for what XML says: of a Bulk job, or of a SOAP call for which [Policy.ScansOperation] holds. Only names
// of objects and operations count there, and what hides one.
func (p *Policy) ScanXML(body io.ReadCloser) *Scanned {
	return &Scanned{body: body, policy: p, xml: true}
}

// ScansOperation reports whether a SOAP call of that operation can name what p doesn't allow. Those that write records
// or metadata can't: what stands in them is data.
func (p *Policy) ScansOperation(operation string) bool {
	if p.secrets && p.execute {
		return false
	}
	switch operation {
	case "create", "update", "upsert", "merge", "convertLead", "process", "sendEmail", "sendEmailMessage", "setPassword",
		"deploy", "createMetadata", "updateMetadata", "upsertMetadata", "login", "logout":
		return false
	}
	return true
}

// Scanned is a body that is scanned while it is read, by one goroutine at a time.
type Scanned struct {
	body    io.ReadCloser
	policy  *Policy
	xml     bool
	scan    scanner
	refusal atomic.Pointer[RefusalError]
}

// Refusal returns why the request isn't allowed, nil if nothing was found so far. It may be called at any time.
func (s *Scanned) Refusal() *RefusalError { return s.refusal.Load() }

// enforced reports whether a refusal ends the reading: not in report mode.
func (s *Scanned) enforced(r *RefusalError) bool { return !s.policy.report || !r.Reportable }

// counts reports whether n means anything where it was found.
func (s *Scanned) counts(n name) bool {
	switch n {
	case comment:
		return s.xml
	case authSession, oauthToken, executeAnonymous, cdata:
		return true
	default:
		return !s.xml
	}
}

// Close implements io.Closer.
func (s *Scanned) Close() error { return s.body.Close() }

// Read implements io.Reader.
func (s *Scanned) Read(b []byte) (int, error) {
	if r := s.refusal.Load(); r != nil && s.enforced(r) {
		return 0, r
	}
	n, err := s.body.Read(b)
	for i := range n {
		hit := s.scan.feed(b[i])
		if hit == none || !s.counts(hit) || s.policy.mayUse(hit) || hit == reference && s.policy.fixed(s.scan.refs.text()) {
			continue
		}
		r := s.policy.refuseName(hit)
		s.refusal.CompareAndSwap(nil, r)
		if s.enforced(r) {
			s.refusal.Store(r)
			return 0, r
		}
	}
	return n, err
}
