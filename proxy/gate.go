package proxy

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/sallyport/sallyport/proxy/access"
)

const (
	// maxUpstream is how many requests of an org are under way upstream at a time, unless told otherwise. Salesforce
	// itself runs 25 of an org's long requests at a time (its limit on concurrent API requests).
	maxUpstream = 512
	// pollsPerCall is how many long polls of CometD there may be for each of these: they wait for nearly two minutes
	// each, and an org may have 2,000 subscribers.
	pollsPerCall = 4
	// upstreamWait is how long a request waits for its turn, unless told otherwise.
	upstreamWait = 5 * time.Second
)

// gate bounds the requests to one org that are under way upstream, each of which has a connection there. It is safe for
// concurrent use.
type gate struct {
	open    *semaphore.Weighted
	share   int64 // What one client may have.
	limit   int64
	waiting atomic.Int64
}

func newOrgGate(limit int64) *gate {
	return &gate{open: semaphore.NewWeighted(limit), share: max(1, limit*3/4), limit: limit}
}

// share is what one client has of an org's gates.
type share struct{ calls, polls *semaphore.Weighted }

// enter lets c go upstream until leave. It waits for a turn for a while, with as many others as may be under way, and
// fails with an overloaded refusal; or with the context's error.
func (c *call) enter(ctx context.Context) error {
	gate, own := c.to.state.calls, c.to.share.calls
	if isCometD(c.path) || c.carrier == carrierGRPC { // Both wait for events, for long.
		gate, own = c.to.state.polls, c.to.share.polls
	}
	if !gate.try(own) {
		if err := gate.wait(ctx, own, c.server.opts.UpstreamWait); err != nil {
			return err
		}
	}
	c.gate, c.share = gate, own
	return nil
}

// leave ends what enter began.
func (c *call) leave() {
	if c.gate != nil {
		c.gate.open.Release(1)
		c.share.Release(1)
	}
}

func (g *gate) try(own *semaphore.Weighted) bool {
	if !own.TryAcquire(1) {
		return false
	}
	if !g.open.TryAcquire(1) {
		own.Release(1)
		return false
	}
	return true
}

func (g *gate) wait(ctx context.Context, own *semaphore.Weighted, limit time.Duration) error {
	defer g.waiting.Add(-1)
	if g.waiting.Add(1) > g.limit {
		return errUpstreamFull
	}
	patient, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := own.Acquire(patient, 1)
	if err == nil {
		if err = g.open.Acquire(patient, 1); err != nil {
			own.Release(1)
		}
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return errUpstreamFull
}

var errUpstreamFull = &access.RefusalError{Code: access.Overloaded, RetryAfter: 5 * time.Second,
	Message: "as many requests are waiting for this org's answers as may at a time: nothing was sent, try again later; " +
		"limits: {concurrent: N} on each client keeps one from taking the others' part"}
