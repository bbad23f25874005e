package sfsim

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
)

// SetCanaries replaces [Options.Canaries] for requests from now on.
func (s *Sim) SetCanaries(texts ...string) {
	texts = slices.Clone(texts)
	s.canaries.Store(&texts)
}

// watchCanaries looks for canaries in a request and, as it is read, in its body.
func (s *Sim) watchCanaries(r *http.Request, host, path string) {
	all := *s.canaries.Load()
	if len(all) == 0 {
		return
	}
	found := func(where string, i int) {
		s.ledger.violate(s.now(), Canary, host, path, where+" has canary "+string(rune('A'+i)))
	}
	for i, text := range all {
		if strings.Contains(r.URL.RequestURI(), text) {
			found("the URL", i)
		}
		for name, values := range r.Header {
			if slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, text) }) {
				found(name, i)
			}
		}
	}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &canaryBody{ReadCloser: r.Body, all: all, found: found}
	}
}

// canaryBody looks for canaries in what is read through it, and across the seams.
type canaryBody struct {
	io.ReadCloser
	all   []string
	found func(where string, i int)
	tail  []byte // the last of what was read
}

// Read implements io.Reader.
func (b *canaryBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n == 0 {
		return n, err
	}
	longest := 0
	for i, text := range b.all {
		longest = max(longest, len(text))
		seam := append(slices.Clone(b.tail), p[:min(n, len(text)-1)]...)
		if bytes.Contains(p[:n], []byte(text)) || bytes.Contains(seam[max(0, len(b.tail)-len(text)+1):], []byte(text)) {
			b.found("the body", i)
		}
	}
	b.tail = append(b.tail, p[max(0, n-longest):n]...)
	b.tail = bytes.Clone(b.tail[max(0, len(b.tail)-longest):])
	return n, err
}
