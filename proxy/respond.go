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
	h := c.w.Header()
	for name, values := range resp.Header {
		h[name] = values
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
	buf := getBuffer()
	defer buffers.Put(buf)
	flusher, _ := c.w.(http.Flusher)
	for {
		n, err := resp.Body.Read(*buf)
		if n > 0 {
			if _, werr := c.w.Write((*buf)[:n]); werr != nil {
				c.abort()
			}
			c.written += int64(n)
			if flusher != nil && err == nil && c.written != resp.ContentLength {
				flusher.Flush()
			}
			if c.firstByte.IsZero() {
				c.firstByte = time.Now()
			}
		} else if c.firstByte.IsZero() && err == nil && flusher != nil {
			flusher.Flush()
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			c.abort()
		}
	}
}
