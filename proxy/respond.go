package proxy

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// respond streams an answer to the client as it comes.
func (c *call) respond(resp *http.Response) {
	defer resp.Body.Close()
	c.to.state.metrics.usage(c.server.metrics, c.to.org.Name, resp.Header)
	stripResponse(resp.Header)
	h := resp.Header
	if c.lean != nil {
		c.lean.header = h
	} else {
		h = c.w.Header()
		for name, values := range resp.Header {
			h[name] = values
		}
	}
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // Keeps net/http from guessing one.
	}
	announced := len(resp.Trailer)
	if announced > 0 {
		names := make([]string, 0, announced)
		for name := range resp.Trailer {
			names = append(names, name)
		}
		h["Trailer"] = []string{strings.Join(names, ", ")}
	}
	c.status = resp.StatusCode
	c.w.WriteHeader(resp.StatusCode)
	if resp.Body == http.NoBody || c.r.Method == http.MethodHead {
		c.firstByte = time.Now()
		return
	}
	c.copy(resp)
	for name, values := range resp.Trailer {
		if len(resp.Trailer) != announced {
			name = http.TrailerPrefix + name
		}
		h[name] = values
	}
}

// copy copies the body, flushed after each read unless that was the last: a short answer leaves in one piece, and
// nothing waits for more to come. What is cut upstream is cut for the client.
func (c *call) copy(resp *http.Response) {
	var buf *[]byte
	defer func() {
		if buf != nil {
			buffers.Put(buf)
		}
	}()
	flusher, _ := c.w.(http.Flusher)
	for {
		n, err := c.copyOnce(resp.Body, &buf)
		c.written += int64(n)
		if flusher != nil && err == nil && (n == 0 && c.firstByte.IsZero() || n > 0 && c.written != resp.ContentLength) {
			flusher.Flush()
		}
		if c.firstByte.IsZero() && n > 0 {
			c.firstByte = time.Now()
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			c.abort()
		}
	}
}

// copyOnce reads once and writes what it read: by way of buf, which is taken when it is needed, unless the answer fits
// where it is written from.
func (c *call) copyOnce(body io.Reader, buf **[]byte) (int, error) {
	if c.lean != nil {
		if room := c.lean.room(); room != nil {
			n, err := body.Read(room)
			c.lean.took(n)
			return n, err
		}
	}
	if *buf == nil {
		*buf = getBuffer()
	}
	n, err := body.Read(**buf)
	if n > 0 {
		if _, werr := c.w.Write((**buf)[:n]); werr != nil {
			c.abort()
		}
	}
	return n, err
}
