package proxy

import (
	"context"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/tokens"
)

// replaceTimeout bounds a replacement that no caller waits for.
const replaceTimeout = 2 * time.Minute

// send puts a token in and sends the request, once more with another token when the session turns out to be dead and
// the body can be sent again, never a third time.
func (c *call) send() (*http.Response, error) {
	ctx, org := c.r.Context(), c.to.state
	issue := c.server.opts.Tokens
	before := time.Now()
	token, err := issue.Token(ctx, org.id)
	c.waited += time.Since(before)
	for {
		if err != nil {
			return nil, err
		}
		c.attempts++
		c.token = token
		org.injector.fill(c.r.Header, c.carrier, token.Access)
		c.sent = time.Now()
		var resp *http.Response
		if resp, err = c.to.trip.RoundTrip(c.r); err != nil {
			return nil, err
		}
		c.answered = time.Now()
		if !mayBeDead(c.carrier, c.path, resp.StatusCode) || !isDead(c.carrier, c.path, resp.StatusCode, peek(resp)) {
			if resp.StatusCode < http.StatusBadRequest {
				issue.Used(org.id, token)
			}
			return resp, nil
		}
		// Another 401 would make clients refresh and come back for ever.
		if c.attempts > 1 || token.IssuedAt.After(c.start) {
			resp.Body.Close()
			return nil, errSessionRejected
		}
		if c.body != nil {
			again, ok := c.body.next()
			if !ok {
				c.replaceLater(token)
				return resp, nil
			}
			c.r.Body = again
		}
		resp.Body.Close()
		before = time.Now()
		token, err = issue.Replace(ctx, org.id, token)
		c.waited += time.Since(before)
	}
}

// replaceLater replaces a token whose request can't be sent again, so that the client's next one finds a live one.
func (c *call) replaceLater(refused tokens.Token) {
	s, org := c.server, c.to.state.id
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.r.Context()), replaceTimeout)
	spawned := s.tunnels.spawn(func() { // Ends with the replacement, after two minutes, or when Drain waits no longer.
		defer cancel()
		go func() { // Ends with ctx.
			select {
			case <-s.stopping:
				cancel()
			case <-ctx.Done():
			}
		}()
		if _, err := s.opts.Tokens.Replace(ctx, org, refused); err != nil {
			s.opts.Log.WarnContext(ctx, "a refused token was not replaced", errorAttr(err))
		}
	})
	if !spawned {
		cancel()
	}
}
