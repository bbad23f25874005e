package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// judgeWithin is how long an answer of CometD is held back, from its head on, until it is whole. A dead session is told
// at once and in one piece; whatever comes more slowly is a long poll's and passes.
const judgeWithin = 250 * time.Millisecond

// isCometD reports whether path is of the Streaming API, which tells errors in the messages of a 200 (Bayeux protocol,
// section 3; salesforce.md, section 5).
func isCometD(path string) bool { return strings.HasPrefix(path, "/cometd/") }

// verdict says what an answer tells of the session that it was asked with.
type verdict uint8

const (
	alive  verdict = iota
	dead           // The session is dead, and nothing was done.
	partly         // It is dead, but a part of what was asked for may have been done.
)

// bayeuxReply is what counts of a Bayeux message that answers one of a client.
type bayeuxReply struct {
	Successful *bool  `json:"successful"`
	Error      string `json:"error"`
	Ext        struct {
		SFDC struct {
			FailureReason string `json:"failureReason"`
		} `json:"sfdc"`
	} `json:"ext"`
}

// dead reports whether the message was refused for its session: by its own error, or the reason of a denied handshake.
// An unknown client ("403::Unknown client") has a live session and only to shake hands again.
func (m bayeuxReply) dead() bool {
	const refused = "401::"
	return m.Successful != nil && !*m.Successful &&
		(strings.HasPrefix(m.Error, refused) || strings.HasPrefix(m.Ext.SFDC.FailureReason, refused))
}

// judgeCometD judges the messages of a whole answer, decoded. Events among them carry a client's own data, but deeper
// than what is looked at.
func judgeCometD(body []byte) verdict {
	var replies []bayeuxReply
	if err := json.Unmarshal(body, &replies); err != nil {
		var one bayeuxReply
		if json.Unmarshal(body, &one) != nil {
			return alive
		}
		replies = []bayeuxReply{one}
	}
	n := 0
	for _, r := range replies {
		if r.dead() {
			n++
		}
	}
	switch n {
	case 0:
		return alive
	case len(replies):
		return dead
	}
	return partly
}

// peekWhole reads the body of an answer as peek does, if it is short and whole soon, and nil else. It puts back what it
// read, and the rest streams on. cancel ends the request.
func peekWhole(resp *http.Response, cancel context.CancelFunc) []byte {
	if resp.ContentLength > maxJudged || resp.Body == http.NoBody {
		resp.Body = &closing{resp.Body, cancel}
		return nil
	}
	a := newAhead(resp.Body, cancel)
	resp.Body = a
	late := time.NewTimer(judgeWithin)
	defer late.Stop()
	for len(a.read) <= maxJudged {
		select {
		case p, more := <-a.pieces:
			if !more {
				if !errors.Is(a.err, io.EOF) {
					return nil
				}
				return decoded(a.read, resp.Header.Get("Content-Encoding"))
			}
			a.read = append(a.read, p...)
		case <-late.C:
			return nil
		}
	}
	return nil
}

// ahead is a body that another goroutine reads, so that nobody need wait for it. Read and Close are for one goroutine.
type ahead struct {
	body   io.ReadCloser
	read   []byte      // What was taken of pieces and not given out yet.
	pieces chan []byte // Closed at the body's end.
	err    error       // Why it ended; to be read after pieces is closed.
	closed chan struct{}
	cancel context.CancelFunc
}

func newAhead(body io.ReadCloser, cancel context.CancelFunc) *ahead {
	a := &ahead{body: body, pieces: make(chan []byte), closed: make(chan struct{}), cancel: cancel}
	go func() { // Ends with the body, or with the request, which Close cancels.
		defer close(a.pieces)
		for {
			p := make([]byte, 4<<10)
			n, err := body.Read(p)
			if n > 0 {
				select {
				case a.pieces <- p[:n]:
				case <-a.closed:
					a.err = http.ErrBodyReadAfterClose
					return
				}
			}
			if err != nil {
				a.err = err
				return
			}
		}
	}()
	return a
}

// Read implements io.Reader.
func (a *ahead) Read(b []byte) (int, error) {
	if len(a.read) == 0 {
		p, more := <-a.pieces
		if !more {
			return 0, a.err
		}
		a.read = p
	}
	n := copy(b, a.read)
	a.read = a.read[n:]
	return n, nil
}

// Close implements io.Closer. It waits for the reading goroutine, which the request's end wakes.
func (a *ahead) Close() error {
	close(a.closed)
	a.cancel()
	// By HTTP/2 a cancelled request alone wakes nobody while its own body waits for the client to send on.
	_ = a.body.Close()
	for range a.pieces { // Until it is closed.
	}
	return nil
}

// closing calls more when it is closed.
type closing struct {
	io.ReadCloser
	more func()
}

// Close implements io.Closer.
func (c *closing) Close() error {
	err := c.ReadCloser.Close()
	c.more()
	return err
}

// decoded returns what was encoded as a Content-Encoding says, up to maxJudged bytes; nil if that can't be told.
func decoded(raw []byte, encoding string) []byte {
	switch strings.ToLower(encoding) {
	case "", "identity":
		return raw
	case "gzip", "x-gzip":
		return unzipped(bytes.NewReader(raw))
	}
	return nil
}
