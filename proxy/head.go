package proxy

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
)

// maxHeads bounds the header lines of a plain request.
const maxHeads = 64

// headEnd returns the length of the head that b begins with, 0 while it isn't whole. plain is false as soon as b can't
// become a head for the lane: a line doesn't end in CR LF, which net/http would take.
func headEnd(b []byte) (n int, plain bool) {
	for start := 0; ; {
		i := bytes.IndexByte(b[start:], '\n')
		switch {
		case i < 0:
			return 0, true
		case i == 0 || b[start+i-1] != '\r':
			return 0, false
		case i == 1:
			return start + 2, true
		}
		start += i + 1
	}
}

// plainHead is a request that the lane serves. Its strings are parts of one.
type plainHead struct {
	method string // GET or HEAD.
	target string
	path   string
	query  string
	host   string
	header http.Header // Without Host, as net/http has it.
}

// parsePlain reads a whole head, which ends in an empty line; false unless it is plain: a GET or HEAD of HTTP/1.1
// without a body, of a path that needs no decoding, with one Host, and with nothing that asks for more than an answer.
// It is narrower than net/http (RFC 9112) and never wider: whatever it takes, net/http takes and understands the same.
func parsePlain(head string) (p plainHead, plain bool) {
	line, rest, _ := strings.Cut(head, "\r\n")
	var ok bool
	if p.method, line, ok = strings.Cut(line, " "); !ok || p.method != http.MethodGet && p.method != http.MethodHead {
		return p, false
	}
	if p.target, ok = strings.CutSuffix(line, " HTTP/1.1"); !ok {
		return p, false
	}
	var asks bool
	p.path, p.query, asks = strings.Cut(p.target, "?")
	if !isPlainPath(p.path) || asks && !isPlainQuery(p.query) {
		return p, false
	}
	n := strings.Count(rest, "\n") - 1
	if n < 1 || n > maxHeads {
		return p, false
	}
	p.header = make(http.Header, n)
	values := make([]string, n)
	for rest != "\r\n" {
		line, rest, _ = strings.Cut(rest, "\r\n")
		name, value, ok := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		if !ok || !all(name, &tokenBytes) || name == "" || !all(value, &valueBytes) {
			return p, false
		}
		name = http.CanonicalHeaderKey(name)
		switch name {
		case "Host":
			if p.host != "" || value == "" {
				return p, false
			}
			p.host = value
			continue
		case "Connection":
			if !strings.EqualFold(value, "keep-alive") {
				return p, false
			}
		case "Content-Length", "Transfer-Encoding", "Te", "Trailer", "Expect", "Upgrade", "Http2-Settings", "Pragma":
			return p, false
		}
		if old, ok := p.header[name]; ok {
			p.header[name] = append(old, value)
			continue
		}
		values[0] = value
		p.header[name], values = values[:1:1], values[1:]
	}
	return p, p.host != ""
}

// request returns a copy of base, for its context, that asks for p.
func (p *plainHead) request(base *http.Request) *http.Request {
	r := base.WithContext(base.Context())
	r.Method, r.RequestURI, r.Host, r.Header = p.method, p.target, p.host, p.header
	r.URL = &url.URL{Path: p.path, RawQuery: p.query}
	r.Proto, r.ProtoMajor, r.ProtoMinor, r.Body = "HTTP/1.1", 1, 1, http.NoBody
	return r
}

func isPlainPath(s string) bool {
	return strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//") && all(s, &pathBytes)
}

// isPlainQuery reports whether s is a query that is kept as it is. A lone question mark is net/http's to keep.
func isPlainQuery(s string) bool { return s != "" && all(s, &queryBytes) }

// byteSet has true for its members.
type byteSet [256]bool

func setOf(members func(c byte) bool) (set byteSet) {
	for i := range set {
		set[i] = members(byte(i))
	}
	return set
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

var (
	pathBytes  = setOf(func(c byte) bool { return isAlphanumeric(c) || strings.IndexByte("-._~/", c) >= 0 })
	queryBytes = setOf(func(c byte) bool { return ' ' < c && c < 0x7f && c != '#' })
	tokenBytes = setOf(func(c byte) bool { return isAlphanumeric(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0 })
	valueBytes = setOf(func(c byte) bool { return ' ' <= c && c < 0x7f || c == '\t' })
)

func all(s string, of *byteSet) bool {
	for i := range len(s) {
		if !of[s[i]] {
			return false
		}
	}
	return true
}
