package virtual

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// What a request may send. The largest that real clients do is a SAML assertion of some 10 KB.
const (
	maxBytes    = 64 << 10 // Query and body together.
	maxParams   = 64       // Parameters and parts, known or not.
	maxBoundary = 70       // RFC 2046, section 5.1.1.
)

// Descriptions of requests that can't be read.
const (
	tooLarge  = "the query and the body are larger than 64 KiB together: a token request needs a few hundred bytes"
	tooMany   = "there are more than 64 parameters: a token request needs fewer than ten"
	badEscape = "a parameter has a bad percent-escape: encode parameters as application/x-www-form-urlencoded"
	wrongType = "the body is not application/x-www-form-urlencoded or multipart/form-data: send one of these, or the " +
		"parameters in the query"
	badMultipart = "the multipart body can't be read: send form-data parts with a name, no file, no transfer encoding " +
		"and a last boundary"
)

// params are the parameters of a request that have a value. They are dropped as soon as the request is understood.
type params map[string]string

// readParams merges the query's parameters and the body's. On an [Error], params has those that were read before it.
//
// A parameter without a value counts as left out (RFC 6749, section 3.2). The body is held in memory, all of it, and
// nothing beyond maxBytes of it is read.
func readParams(r *http.Request) (params, *Error) {
	p := make(params)
	if len(r.URL.RawQuery) > maxBytes {
		return p, invalid(codeInvalidRequest, tooLarge)
	}
	left, err := p.parse(r.URL.RawQuery, maxParams)
	if err != nil {
		return p, err
	}
	if e := r.Header.Values("Content-Encoding"); len(e) > 1 || len(e) == 1 && !strings.EqualFold(e[0], "identity") {
		return p, invalid(codeInvalidRequest, "the body has a Content-Encoding: send it as it is, without compression")
	}
	body, err := readBody(r, maxBytes-len(r.URL.RawQuery))
	if err != nil || len(body) == 0 {
		return p, err
	}
	types := r.Header.Values("Content-Type")
	if len(types) != 1 {
		return p, invalid(codeInvalidRequest, wrongType)
	}
	// A charset that can't be read leaves the type readable, and no parameter is looked at that has one.
	kind, attributes, _ := mime.ParseMediaType(types[0])
	switch kind {
	case "application/x-www-form-urlencoded":
		_, err = p.parse(string(body), left)
	case "multipart/form-data":
		err = p.parseMultipart(body, attributes["boundary"], left)
	default:
		err = invalid(codeInvalidRequest, wrongType)
	}
	return p, err
}

// readBody returns the whole body, at most limit bytes of it.
func readBody(r *http.Request, limit int) ([]byte, *Error) {
	if r.Body == nil {
		return nil, nil
	}
	if r.ContentLength > int64(limit) {
		return nil, invalid(codeInvalidRequest, tooLarge)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(limit)+1))
	if len(body) > limit {
		return nil, invalid(codeInvalidRequest, tooLarge)
	}
	if err != nil { // Not 4xx: a connection that broke is no reason to log a user out.
		return nil, &Error{Status: http.StatusServiceUnavailable, Code: codeUnavailable,
			Description: "the body ended early: send the request again, nothing was done"}
	}
	return body, nil
}

// parse adds the parameters of a query or an urlencoded body, at most limit of them, and returns how many are left.
func (p params) parse(raw string, limit int) (left int, _ *Error) {
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		if limit--; limit < 0 {
			return 0, invalid(codeInvalidRequest, tooMany)
		}
		name, value, _ := strings.Cut(pair, "=")
		name, nameErr := url.QueryUnescape(name)
		value, valueErr := url.QueryUnescape(value)
		if nameErr != nil || valueErr != nil {
			return 0, invalid(codeInvalidRequest, badEscape)
		}
		if err := p.add(name, value); err != nil {
			return 0, err
		}
	}
	return limit, nil
}

// parseMultipart adds the parts of a form (RFC 7578), at most limit of them. A part is a value, whatever its own type
// says: nothing is nested, decoded or written to a file.
func (p params) parseMultipart(body []byte, boundary string, limit int) *Error {
	if boundary == "" || len(boundary) > maxBoundary {
		return invalid(codeInvalidRequest, badMultipart)
	}
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := parts.NextRawPart()
		// A body that ends without its last boundary gives io.EOF too, but wrapped.
		if errors.Is(err, io.EOF) && errors.Unwrap(err) == nil {
			return nil
		}
		if err != nil {
			return invalid(codeInvalidRequest, badMultipart)
		}
		if limit--; limit < 0 {
			return invalid(codeInvalidRequest, tooMany)
		}
		value, err := io.ReadAll(part)
		if err != nil || part.FormName() == "" || part.FileName() != "" || encoded(part) {
			return invalid(codeInvalidRequest, badMultipart)
		}
		if err := p.add(part.FormName(), string(value)); err != nil {
			return err
		}
	}
}

// encoded reports whether a part's value isn't what is written.
func encoded(part *multipart.Part) bool {
	switch strings.ToLower(part.Header.Get("Content-Transfer-Encoding")) {
	case "", "7bit", "8bit", "binary":
		return false
	}
	return true
}

// manyTimes are the parameters that may be there with several values (RFC 8693, section 2.1).
var manyTimes = []string{"audience", "resource"}

// add keeps a parameter that has a value. A second value that differs is refused: no two readers would agree on which
// one counts.
func (p params) add(name, value string) *Error {
	if value == "" {
		return nil
	}
	if old, ok := p[name]; ok && !slices.Contains(manyTimes, name) &&
		subtle.ConstantTimeCompare([]byte(old), []byte(value)) != 1 {
		return invalid(codeInvalidRequest, "a parameter is there twice with different values: send each once, in the "+
			"query or in the body")
	}
	p[name] = value
	return nil
}

// has reports whether all of names have a value.
func (p params) has(names ...string) bool {
	for _, name := range names {
		if p[name] == "" {
			return false
		}
	}
	return true
}
