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
	var token tokens.Token
	var err error
	if c.body.mayBeLost(c.r.ContentLength) {
		token, err = issue.Lasting(ctx, org.id)
	} else {
		token, err = issue.Token(ctx, org.id)
	}
	c.waited += time.Since(before)
	if err == nil {
		err = c.enter(ctx)
	}
	if err != nil {
		return nil, err
	}
	for {
		c.attempts++
		c.token = token
		if err := c.carry(token); err != nil {
			return nil, err
		}
		c.sent = time.Now()
		resp, told, err := c.attempt()
		if err != nil {
			return nil, err
		}
		if told == alive {
			c.body.settle()
			if resp.StatusCode < http.StatusBadRequest {
				issue.Used(org.id, token)
			}
			return resp, nil
		}
		// Another 401 would make clients refresh and come back for ever.
		if told == dead && (c.attempts > 1 || token.IssuedAt.After(c.start)) {
			resp.Body.Close()
			return nil, errSessionRejected
		}
		if told == partly || !c.rewind() {
			if c.attempts == 1 && !token.IssuedAt.After(c.start) {
				c.replaceLater(token)
			}
			return resp, nil
		}
		resp.Body.Close()
		before = time.Now()
		token, err = issue.Replace(ctx, org.id, token)
		c.waited += time.Since(before)
		if err != nil {
			return nil, err
		}
	}
}

// carry puts token where the request's API has it.
func (c *call) carry(token tokens.Token) error {
	if c.envelope == nil {
		c.to.state.injector.fill(c.r.Header, c.carrier, token)
		return nil
	}
	if isJWT(token.Access) {
		return errSOAPJWT
	}
	c.r.Body, c.r.ContentLength = c.envelope.with(token.Access.Reveal(), c.r.Body)
	return nil
}

// attempt sends the request as it is and judges its answer.
func (c *call) attempt() (*http.Response, verdict, error) {
	r, cancel := c.r, context.CancelFunc(nil)
	if isCometD(c.path) || c.carrier == carrierGRPC {
		var ctx context.Context
		ctx, cancel = context.WithCancel(r.Context())
		r = r.WithContext(ctx)
	}
	resp, err := c.to.trip.RoundTrip(r)
	if err != nil {
		if cancel != nil {
			cancel()
		}
		return nil, alive, err
	}
	c.answered = time.Now()
	// Once something reads ahead, the trailers may come at any time.
	c.trailers = c.trailers[:0]
	for name := range resp.Trailer {
		c.trailers = append(c.trailers, name)
	}
	switch {
	case c.carrier == carrierGRPC:
		return resp, judgeGRPC(resp, cancel), nil
	case cancel != nil && resp.StatusCode == http.StatusOK:
		return resp, judgeCometD(peekWhole(resp, cancel)), nil
	case cancel != nil:
		resp.Body = &closing{resp.Body, cancel}
	}
	if mayBeDead(c.carrier, c.path, resp.StatusCode) && isDead(c.carrier, c.path, resp.StatusCode, peek(resp)) {
		return resp, dead, nil
	}
	return resp, alive, nil
}

// rewind makes the request ready to be sent again, if it can be.
func (c *call) rewind() bool {
	if c.body == nil {
		return true
	}
	again, ok := c.body.next()
	if ok {
		c.r.Body = again
	}
	return ok
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
