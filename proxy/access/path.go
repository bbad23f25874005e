package access

import (
	"net/url"
	"strings"
)

// Canonical returns the one form of a request's path that is judged, and the same percent-encoded, which is what must
// be sent: decoded once, runs of slashes folded. escaped is the path as the client sent it. It fails with a
// [BadRequest] [RefusalError] for a path without a leading slash, a bad escape, and for what two servers could read
// differently: dot segments, encoded slashes, backslashes, semicolons, control characters, and an escape that is there
// only once the path is decoded, since decoded once more it would be another path. It doesn't allocate for a path that is
// canonical and has no escapes.
func Canonical(escaped string) (path, send string, _ *RefusalError) {
	if escaped == "" || escaped[0] != '/' {
		return "", "", refuse(BadRequest, "the request names no path that begins with a slash")
	}
	plain, folded := true, true
	for i := range len(escaped) {
		switch c := escaped[i]; {
		case c == '%':
			plain = false
		case c == '/' && i > 0 && escaped[i-1] == '/':
			folded = false
		case !allowed(c):
			return "", "", refuse(BadRequest, "the path has a character that is never forwarded: %q", c)
		}
	}
	if !folded {
		escaped = fold(escaped)
	}
	path = escaped
	if !plain {
		var err error
		if path, err = url.PathUnescape(escaped); err != nil {
			return "", "", refuse(BadRequest, "the path has a bad percent-escape")
		}
		if r := checkDecoded(escaped, path); r != nil {
			return "", "", r
		}
	}
	for rest := path[1:]; ; {
		segment, next, more := strings.Cut(rest, "/")
		if segment == "." || segment == ".." {
			return "", "", refuse(BadRequest, "the path has a dot segment: send the path that is meant")
		}
		if !more {
			break
		}
		rest = next
	}
	return path, escaped, nil
}

// allowed reports whether c may stand in a path, decoded or not.
func allowed(c byte) bool {
	return c > 0x20 && c != 0x7f && c != '\\' && c != ';' && c != '#' && c != '?'
}

// checkDecoded judges what only the decoding of escaped brought into path.
func checkDecoded(escaped, path string) *RefusalError {
	if strings.Count(path, "/") != strings.Count(escaped, "/") {
		return refuse(BadRequest, "the path has an encoded slash")
	}
	for i := range len(path) {
		c := path[i]
		if c != ' ' && c != '#' && c != '?' && !allowed(c) {
			return refuse(BadRequest, "the path has an encoded character that is never forwarded: %q", c)
		}
		if c == '%' && i+2 < len(path) {
			if _, ok := unhex(path[i+1], path[i+2]); ok {
				return refuse(BadRequest, "the path is percent-encoded twice")
			}
		}
	}
	return nil
}

func unhex(hi, lo byte) (byte, bool) {
	h, ok1 := hexDigit(hi)
	l, ok2 := hexDigit(lo)
	return h<<4 | l, ok1 && ok2
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

func fold(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := range len(s) {
		if s[i] != '/' || i == 0 || s[i-1] != '/' {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
