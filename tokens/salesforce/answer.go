package salesforce

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// message is an answer taken apart.
type message struct {
	status int // zero: the head isn't whole, or isn't HTTP
	header http.Header
	body   []byte // without transfer and content coding, as far as it came
	whole  bool   // nothing of the body is missing, as far as the framing tells
	closed bool   // the body ended with the connection, so that the framing tells nothing
}

// open takes raw apart. It never fails: what can't be read is missing.
func open(raw []byte) message {
	resp, err := finalResponse(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		return message{}
	}
	defer resp.Body.Close()
	m := message{status: resp.StatusCode, header: resp.Header}
	m.closed = resp.ContentLength < 0 && len(resp.TransferEncoding) == 0
	m.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	m.whole = err == nil
	m.decode()
	return m
}

// decode undoes a compression that nobody asked for.
func (m *message) decode() {
	switch strings.ToLower(strings.TrimSpace(m.header.Get("Content-Encoding"))) {
	case "", "identity":
		return
	case "gzip", "x-gzip":
		if z, err := gzip.NewReader(bytes.NewReader(m.body)); err == nil {
			var plain []byte
			plain, err = io.ReadAll(io.LimitReader(z, maxAnswer))
			m.body = plain
			// gzip's own trailer says that nothing is missing.
			m.whole, m.closed = m.whole && err == nil && len(plain) < maxAnswer, false
			return
		}
	}
	m.body, m.whole = nil, false
}

// maxRetryAfter bounds what a server may ask for.
const maxRetryAfter = time.Hour

// retryAfter is what the Retry-After header asks for (RFC 9110, section
// 10.2.3), between zero and an hour. A date is compared with the answer's own,
// so that no clock of ours matters.
func (m *message) retryAfter() time.Duration {
	v := strings.TrimSpace(m.header.Get("Retry-After"))
	if n, err := strconv.ParseInt(v, 10, 32); err == nil {
		return min(max(time.Duration(n)*time.Second, 0), maxRetryAfter)
	}
	then, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(m.header.Get("Date"))
	if err != nil {
		return 0
	}
	return min(max(then.Sub(now), 0), maxRetryAfter)
}
