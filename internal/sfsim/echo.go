package sfsim

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Echo is what the echo resource answers: the request as it arrived, with every
// credential replaced by its fingerprint.
type Echo struct {
	Method      string      `json:"method"`
	Host        string      `json:"host"`
	Path        string      `json:"path"` // as sent
	Query       url.Values  `json:"query"`
	Proto       string      `json:"proto"`
	Source      string      `json:"source"`
	Headers     http.Header `json:"headers"`
	Trailers    http.Header `json:"trailers"`
	BodyBytes   int64       `json:"body_bytes"`
	Fingerprint string      `json:"fingerprint"` // of the access token
	Generation  int         `json:"generation"`
	Grant       int         `json:"grant"`
}

// echo answers what arrived. With set_sid=1 it also sets the session cookie that
// Salesforce sets, which holds the token.
func (s *Sim) echo(w http.ResponseWriter, c *call, a *access) {
	h := c.Header.Clone()
	if v := h.Get("Authorization"); v != "" {
		scheme, _, _ := strings.Cut(v, " ")
		h.Set("Authorization", scheme+" fingerprint:"+a.fingerprint)
	}
	for _, name := range []string{"X-Sfdc-Session", "Accesstoken", "Cookie", "Proxy-Authorization"} {
		if v := h.Get(name); v != "" {
			h.Set(name, "fingerprint:"+Fingerprint(v))
		}
	}
	e := Echo{Method: c.Method, Host: c.Host, Path: c.URL.EscapedPath(), Proto: c.Proto, Source: c.RemoteAddr, Headers: h,
		BodyBytes: drain(c.Body), Fingerprint: a.fingerprint, Generation: a.generation, Grant: a.grant}
	e.Trailers = c.Trailer // known after the body
	q := c.URL.Query()
	if q.Get("set_sid") == "1" {
		w.Header().Add("Set-Cookie", "sid="+a.token+"; path=/; secure; HttpOnly")
	}
	e.Query = redact(q)
	answerJSON(w, c, a, http.StatusOK, marshal(e))
}

const maxChunk = 1 << 20

// stream answers bytes=N bytes in chunks of chunk=M (32768) with delay=ms
// between them. Without chunked=1 it announces the length.
func (s *Sim) stream(w http.ResponseWriter, c *call, a *access) {
	q := c.URL.Query()
	total, err := strconv.ParseInt(q.Get("bytes"), 10, 64)
	chunk, delay := number(q.Get("chunk"), 32<<10), time.Duration(number(q.Get("delay"), 0))*time.Millisecond
	if err != nil || total < 0 || chunk < 1 || chunk > maxChunk || delay < 0 {
		stamp(w, a)
		restError(w, c, http.StatusBadRequest, "INVALID_FIELD", "bytes, chunk or delay out of range")
		return
	}
	stamp(w, a)
	w.Header().Set("Content-Type", "application/octet-stream")
	var out io.Writer = w
	switch {
	case wantsGzip(c):
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer func() { _ = z.Close() }()
		out = z
	case q.Get("chunked") != "1":
		w.Header().Set("Content-Length", strconv.FormatInt(total, 10))
	}
	w.WriteHeader(http.StatusOK)
	part := pattern(chunk)
	flush := http.NewResponseController(w)
	for total > 0 {
		n := min(total, int64(len(part)))
		if _, err := out.Write(part[:n]); err != nil {
			return
		}
		total -= n
		if delay > 0 {
			if z, ok := out.(*gzip.Writer); ok {
				_ = z.Flush()
			}
			_ = flush.Flush() // a writer that can't flush sends when it is full
			if total > 0 && !pause(c, delay) {
				c.cut = true
				return
			}
		}
	}
}

func number(text string, otherwise int) int {
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return -1
	}
	return n
}

func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte('a' + i%26)
	}
	return p
}

// upload reads a body of any length and answers its length and SHA-256.
func (s *Sim) upload(w http.ResponseWriter, c *call, a *access) {
	sum := sha256.New()
	var n int64
	var err error
	if c.Body != nil {
		n, err = io.Copy(sum, c.Body)
	}
	if err != nil {
		c.cut = true
		return
	}
	answerJSON(w, c, a, http.StatusOK, marshal(map[string]any{"bytes": n, "sha256": hex.EncodeToString(sum.Sum(nil))}))
}
