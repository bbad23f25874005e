package proxy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// respond streams an answer to the client as it comes.
func (c *call) respond(resp *http.Response) {
	defer resp.Body.Close()
	c.to.state.metrics.usage(c.server.metrics, c.to.org.Name, resp.Header)
	stripResponse(resp.Header)
	c.rebase(resp.Header)
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
	if len(c.trailers) > 0 {
		h["Trailer"] = []string{strings.Join(c.trailers, ", ")}
	}
	// A gRPC status in the head is one of trailers only: nothing may follow it, else clients look for another.
	if resp.Body == http.NoBody || c.r.Method == http.MethodHead || c.carrier == carrierGRPC && len(resp.Header[grpcStatus]) > 0 {
		c.begin(resp.StatusCode)
		c.firstByte = time.Now()
		return
	}
	if c.carrier == carrierGRPC { // Its head may be all that comes for minutes.
		c.begin(resp.StatusCode)
		_ = http.NewResponseController(c.w).Flush() // The next write tells who is gone.
	}
	if !c.copy(resp) {
		return
	}
	if c.carrier == carrierGRPC && resp.Trailer.Get(grpcStatus) == grpcDead && !c.token.IssuedAt.After(c.start) {
		c.replaceLater(c.token) // Not to be sent again: the client has had a part.
	}
	for name, values := range resp.Trailer {
		if len(resp.Trailer) != len(c.trailers) {
			name = http.TrailerPrefix + name
		}
		h[name] = values
	}
}

// begin writes the head, into a buffer. Only the first call does anything.
func (c *call) begin(status int) {
	if c.status != 0 {
		return
	}
	c.status = status
	c.w.WriteHeader(status)
}

// copy copies the body, flushed after each read unless that was the last: a short answer leaves in one piece, and
// nothing waits for more to come. The head waits for the first read: one that fails there is answered like any other that
// Salesforce didn't answer, and false is returned. What is cut upstream later is cut for the client.
func (c *call) copy(resp *http.Response) bool {
	var t transfer
	defer t.end()
	flusher, _ := c.w.(http.Flusher)
	for first := true; ; first = false {
		n, err := c.copyOnce(resp, &t, first)
		c.written += int64(n)
		failed := err != nil && !errors.Is(err, io.EOF)
		if failed && c.written == 0 && first {
			c.unanswered(err)
			return false
		}
		if flusher != nil && (err == nil && (n == 0 && c.firstByte.IsZero() || n > 0 && c.written != resp.ContentLength) || failed && n > 0) {
			t.begin(c)
			flusher.Flush()
			t.ended(c)
		}
		if c.firstByte.IsZero() && n > 0 {
			c.firstByte = time.Now()
		}
		if failed {
			c.cut(err)
			return false
		}
		if err != nil {
			return true
		}
	}
}

// unanswered takes back the head of an answer that broke off before its first byte, and answers err.
func (c *call) unanswered(err error) {
	switch {
	case c.carrier == carrierGRPC: // It is on its way.
		c.cut(err)
		return
	case c.lean == nil:
		clear(c.w.Header())
	case !c.lean.takeBack():
		c.abort()
	}
	c.fail(fmt.Errorf("the answer of Salesforce broke off before its first byte: %w", err))
}

// cut ends an answer that broke off behind its head. Of gRPC the trailers say so, as any gRPC client would have it from a
// connection that was lost; of all else the connection does.
func (c *call) cut(err error) {
	if c.carrier != carrierGRPC || c.r.Context().Err() != nil {
		c.abort()
	}
	c.aborted = true
	a := explain(c.reason(err))
	c.code = a.code
	h := c.w.Header()
	h.Set(http.TrailerPrefix+"Sallyport-Error", string(a.code))
	h.Set(http.TrailerPrefix+grpcStatus, strconv.Itoa(a.grpcStatus()))
	h.Set(http.TrailerPrefix+grpcText, a.grpcMessage())
}

// transfer is what copying needs while it is under way.
type transfer struct {
	buf   *[]byte
	stall *stall // Of an answer by HTTP/2, whose client may keep one stream from going on.
}

// begin starts the clock of a write, which [transfer.ended] stops.
func (t *transfer) begin(c *call) {
	if c.r.ProtoMajor == 1 { // Its connection has a limit of its own.
		return
	}
	if t.stall == nil {
		t.stall = stalls.Get().(*stall)
		t.stall.limit = c.server.opts.StallTimeout
	}
	t.stall.begin(c.w)
}

func (t *transfer) ended(c *call) {
	if t.stall != nil && t.stall.end() {
		t.stall = nil // It is spent.
		c.abort()
	}
}

// end gives back what was taken.
func (t *transfer) end() {
	if t.buf != nil {
		buffers.Put(t.buf)
	}
	if t.stall != nil && !t.stall.end() {
		stalls.Put(t.stall)
	}
}

// copyOnce reads once and writes what it read, behind the head if that is the first: by way of a buffer, which is taken
// when it is needed, unless the answer fits where it is written from.
func (c *call) copyOnce(resp *http.Response, t *transfer, first bool) (int, error) {
	if c.lean != nil {
		if first {
			c.begin(resp.StatusCode)
		}
		if room := c.lean.room(); room != nil {
			n, err := resp.Body.Read(room)
			c.lean.took(n)
			return n, err
		}
	}
	if t.buf == nil {
		t.buf = getBuffer()
	}
	n, err := resp.Body.Read(*t.buf)
	if c.lean == nil && first && (n > 0 || err == nil || errors.Is(err, io.EOF)) {
		c.begin(resp.StatusCode)
	}
	if n > 0 {
		t.begin(c)
		_, werr := c.w.Write((*t.buf)[:n])
		t.ended(c)
		if werr != nil {
			c.abort()
		}
	}
	return n, err
}
