package access

import "strings"

// maxLiteral is how much of a sub-request's path is kept: more than any resource's beginning has.
const maxLiteral = 256

// references finds, in the characters of a composite request's JSON, the url of each sub-request whose path holds a
// reference to another's answer, @{refId.field} (REST API Developer Guide, "Composite"): what stands there then is not
// known before Salesforce puts it in, and the caller may have chosen it. It takes the key in any case, and errs on the
// side of finding. The zero references is ready.
type references struct {
	state   urlState
	at      int // Characters of the key that match.
	literal [maxLiteral]byte
	n       int
	sign    bool // The last character was @.
}

// urlState is where in a url's pair a [references] is.
type urlState uint8

const (
	noURL urlState = iota
	urlColon
	urlQuote
	urlPath
)

const urlKey = `"url"`

// feed takes the next character, decoded, and reports whether a reference in a path begins with it.
func (r *references) feed(c byte) bool {
	switch r.state {
	case noURL:
		lower := c
		if 'A' <= c && c <= 'Z' {
			lower += 'a' - 'A'
		}
		switch {
		case lower == urlKey[r.at]:
			r.at++
		case c == '"':
			r.at = 1
		default:
			r.at = 0
		}
		if r.at == len(urlKey) {
			r.state, r.at = urlColon, 0
		}
	case urlColon, urlQuote:
		switch {
		case isSpace(c):
		case r.state == urlColon && c == ':':
			r.state = urlQuote
		case r.state == urlQuote && c == '"':
			r.state, r.n, r.sign = urlPath, 0, false
		default:
			r.state = noURL
		}
	case urlPath:
		return r.path(c)
	}
	return false
}

func (r *references) path(c byte) bool {
	if c == '{' && r.sign {
		r.n--
		r.sign = false
		r.state = noURL // The first is what counts: what is fixed before it stays fixed.
		return true
	}
	r.sign = c == '@'
	if c == '"' || c == '?' || r.n == len(r.literal) { // What is longer is fixed far enough.
		r.state = noURL
		return false
	}
	r.literal[r.n] = c
	r.n++
	return false
}

// text is the literal part of the path before the reference that was found last.
func (r *references) text() string { return string(r.literal[:r.n]) }

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// fixed reports whether a sub-request's path may go on in a way that is not known, behind the literal part that it
// begins with: the resource must be told by then, since a later part can't lead to another one's credentials, and for a
// client with paths one of them must be.
func (p *Policy) fixed(literal string) bool {
	path, _, refusal := Canonical(literal)
	if refusal != nil {
		return false
	}
	// /services/data/vNN.N/RESOURCE/, with the object behind sobjects, or a path of Apex REST.
	depth := 5
	switch {
	case foldUnder(path, "/services/apexrest"):
		depth = 3
	case hasSObjects(path):
		depth = 6
	}
	if strings.Count(path, "/") < depth || isComposed(path) {
		return false
	}
	if !p.own {
		return true
	}
	for _, prefix := range p.paths {
		if strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/") {
			return true
		}
	}
	return false
}

func hasSObjects(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if strings.EqualFold(segment, "sobjects") {
			return true
		}
	}
	return false
}

// isComposed reports whether path leads to the credentials of apps, or on to other requests.
func isComposed(path string) bool {
	return isAppsOAuth(strings.TrimSuffix(path, "/")+"/oauth") || IsComposite(path)
}
