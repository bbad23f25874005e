package proxy

import (
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"
)

// laneBuffer is a head and a small body: what fits leaves in one TLS record and one system call.
const laneBuffer = 8 << 10

var errTooMuchBody = errors.New("an answer is longer than its Content-Length")

// laneWriter writes one answer in HTTP/1.1 (RFC 9112). It is an http.ResponseWriter and an http.Flusher, for one
// goroutine. The zero laneWriter with conn, buf and head set is ready.
type laneWriter struct {
	conn   net.Conn
	buf    []byte // What isn't written yet; its capacity is what is written at a time.
	header http.Header
	head   bool // Of a HEAD request: the answer has no body.
	last   bool // The connection ends after the answer.
	// stall is how long the client may take nothing of what is written at a time; none when zero.
	stall time.Duration
	// draining, when it isn't nil, says at the head that no further request is taken.
	draining *atomic.Bool

	began   bool // The head is in buf or written.
	sent    bool // Something was written.
	bodied  bool // There may be a body.
	chunked bool
	left    int64 // Of the Content-Length.
	err     error
}

// Header implements http.ResponseWriter.
func (w *laneWriter) Header() http.Header {
	if w.header == nil {
		w.header = make(http.Header, 8)
	}
	return w.header
}

// WriteHeader implements http.ResponseWriter.
func (w *laneWriter) WriteHeader(status int) {
	if w.began {
		return
	}
	w.began = true
	h := w.Header()
	w.bodied = !w.head && status != http.StatusNoContent && status != http.StatusNotModified
	delete(h, "Transfer-Encoding")
	if w.bodied {
		w.chunked = true
		if v := h["Content-Length"]; len(v) == 1 {
			if n, err := strconv.ParseUint(v[0], 10, 63); err == nil {
				w.chunked, w.left = false, int64(n)
			}
		}
		if w.chunked {
			delete(h, "Content-Length")
		}
	}
	for _, v := range h["Connection"] {
		w.last = w.last || httpguts.HeaderValuesContainsToken([]string{v}, "close")
	}
	delete(h, "Connection")
	w.last = w.last || w.draining != nil && w.draining.Load()
	w.writeHead(status)
}

func (w *laneWriter) writeHead(status int) {
	b := append(w.buf, "HTTP/1.1 "...)
	b = append(strconv.AppendInt(b, int64(status), 10), ' ')
	if text := http.StatusText(status); text != "" {
		b = append(b, text...)
	} else {
		b = strconv.AppendInt(append(b, "status code "...), int64(status), 10)
	}
	b = append(b, "\r\n"...)
	b = appendFields(b, w.header, false)
	if _, ok := w.header["Date"]; !ok {
		b = time.Now().UTC().AppendFormat(append(b, "Date: "...), http.TimeFormat)
		b = append(b, "\r\n"...)
	}
	if w.chunked {
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	if w.last {
		b = append(b, "Connection: close\r\n"...)
	}
	b = append(b, "\r\n"...)
	if cap(b) > cap(w.buf) { // A large head left the buffer: it is written at once, and buf stays the one of the pool.
		w.buf = w.buf[:0]
		w.write(b)
		return
	}
	w.buf = b
}

var noBreaks = strings.NewReplacer("\n", " ", "\r", " ")

// appendFields appends the fields of h: those with http.TrailerPrefix if trailer, else the others.
func appendFields(b []byte, h http.Header, trailer bool) []byte {
	for name, values := range h {
		if rest, is := strings.CutPrefix(name, http.TrailerPrefix); is != trailer {
			continue
		} else if is {
			name = rest
		}
		if !httpguts.ValidHeaderFieldName(name) {
			continue
		}
		for _, v := range values {
			if strings.ContainsAny(v, "\r\n") {
				v = noBreaks.Replace(v)
			}
			b = append(append(append(append(b, name...), ": "...), v...), "\r\n"...)
		}
	}
	return b
}

// Write implements http.ResponseWriter.
func (w *laneWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	switch {
	case w.err != nil:
		return 0, w.err
	case len(p) == 0:
		return 0, nil
	case !w.bodied:
		return 0, http.ErrBodyNotAllowed
	case w.chunked:
		var size [18]byte
		w.put(append(strconv.AppendInt(size[:0], int64(len(p)), 16), "\r\n"...))
		w.put(p)
		w.put([]byte("\r\n"))
	case int64(len(p)) > w.left:
		return 0, errTooMuchBody
	default:
		w.left -= int64(len(p))
		w.put(p)
	}
	return len(p), w.err
}

// room returns where the rest of a small answer can be read to, as [laneWriter.took] is then told; nil if it doesn't
// fit or its length is not known.
func (w *laneWriter) room() []byte {
	if w.err != nil || !w.bodied || w.chunked || w.left == 0 || w.left > int64(cap(w.buf)-len(w.buf)) {
		return nil
	}
	return w.buf[len(w.buf):][:w.left]
}

func (w *laneWriter) took(n int) {
	w.buf = w.buf[:len(w.buf)+n]
	w.left -= int64(n)
}

// put buffers p, and writes whenever the buffer is full. What would fill half of an empty one isn't copied.
func (w *laneWriter) put(p []byte) {
	for len(p) > cap(w.buf)-len(w.buf) || len(w.buf) == 0 && len(p) > laneBuffer/2 {
		if len(w.buf) == 0 {
			w.write(p)
			return
		}
		n := cap(w.buf) - len(w.buf)
		w.buf = append(w.buf, p[:n]...)
		p = p[n:]
		w.Flush()
	}
	w.buf = append(w.buf, p...)
}

func (w *laneWriter) write(p []byte) {
	if w.err == nil && len(p) > 0 {
		w.sent = true
		w.err = writeWithin(w.conn, p, w.stall)
	}
}

// writeWithin writes p to c, which must take it within the limit; there is none when that is zero. The deadline goes
// afterwards: TLS writes by itself too.
func writeWithin(c net.Conn, p []byte, limit time.Duration) error {
	if limit > 0 {
		if err := c.SetWriteDeadline(time.Now().Add(limit)); err != nil {
			return err
		}
	}
	if _, err := c.Write(p); err != nil || limit == 0 {
		return err
	}
	return c.SetWriteDeadline(time.Time{})
}

// takeBack forgets an answer of which nothing was written yet, so that another can be; false when it is too late.
func (w *laneWriter) takeBack() bool {
	if w.sent {
		return false
	}
	*w = laneWriter{conn: w.conn, buf: w.buf[:0], head: w.head, stall: w.stall, draining: w.draining}
	return true
}

// Flush implements http.Flusher.
func (w *laneWriter) Flush() {
	w.WriteHeader(http.StatusOK)
	w.write(w.buf)
	w.buf = w.buf[:0]
}

// finish ends the answer and reports whether another may follow on the connection.
func (w *laneWriter) finish() bool {
	w.WriteHeader(http.StatusOK)
	if w.chunked {
		w.put([]byte("0\r\n"))
		w.put(appendTrailers(nil, w.header))
		w.put([]byte("\r\n"))
	}
	w.Flush()
	return w.err == nil && w.left == 0 && !w.last
}

// appendTrailers appends the fields that the head announced, and those that it could not.
func appendTrailers(b []byte, h http.Header) []byte {
	for _, names := range h["Trailer"] {
		for name := range strings.SplitSeq(names, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			b = appendFields(b, http.Header{name: h[name]}, false)
		}
	}
	return appendFields(b, h, true)
}
