package tokens

import (
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// heartbeatEvery is the least time between two heartbeats of one replica, so
// that thousands which come due together, as after an outage, don't fall on
// Salesforce at once. Ten thousand take a quarter of an hour.
const heartbeatEvery = 100 * time.Millisecond

// heartbeats are the idle grants that are due, waiting for their turn.
type heartbeats struct {
	mu      sync.Mutex
	waiting []heartbeat // guarded by mu
	running bool        // guarded by mu: somebody takes them out
}

type heartbeat struct {
	s    *org
	idle time.Time // since when
}

// beat queues the heartbeat of s, whose grant is r.
func (b *Broker) beat(s *org, r Record) {
	s.mu.Lock()
	s.beating = true
	s.mu.Unlock()
	h := &b.beats
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = append(h.waiting, heartbeat{s, r.LastUsed()})
	if !h.running {
		h.running = b.spawn(b.beatInTurn)
	}
}

// beatInTurn begins what is due, the longest idle first, until nothing is or
// draining begins.
func (b *Broker) beatInTurn() {
	tick := time.NewTicker(heartbeatEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-b.drained:
			return
		}
		s := b.beats.longestIdle()
		if s == nil {
			return
		}
		s.mu.Lock()
		s.beating = false
		r := s.memory
		s.mu.Unlock()
		if time.Now().Before(b.p.HeartbeatDue(r)) { // another replica's was heard of
			s.mu.Lock()
			b.arm(s)
			s.mu.Unlock()
			continue
		}
		b.fly(s, wish{cause: CauseHeartbeat, stale: r.Place}, trace.SpanContext{})
	}
}

// longestIdle takes out whose turn it is, nil where nobody waits.
func (h *heartbeats) longestIdle() *org {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.waiting) == 0 {
		h.running = false
		return nil
	}
	next := 0
	for i, w := range h.waiting {
		if w.idle.Before(h.waiting[next].idle) {
			next = i
		}
	}
	s := h.waiting[next].s
	h.waiting = slices.Delete(h.waiting, next, next+1)
	return s
}
