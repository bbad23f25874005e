package redisstore

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

// How a subscription is watched and made again.
const (
	pingAfter   = 3 * time.Second // of silence
	resubscribe = 50 * time.Millisecond
	resubMost   = 2 * time.Second
)

// maxMessage is the largest message that anyone reads, in bytes.
const maxMessage = 1 << 20

// listen calls heard with each message of a channel until ctx ends, and returns
// ctx's error. ready is called, if there is one, whenever the subscription
// stands: what was said before it was not heard.
func (s *Store) listen(ctx context.Context, channel string, ready func(), heard func(string)) error {
	wait := resubscribe
	told := false
	for {
		stood, err := s.subscription(ctx, channel, ready, heard)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		select {
		case <-s.closed:
			return ErrClosed
		default:
		}
		if stood {
			wait, told = resubscribe, false
		}
		if !told {
			told = true
			s.log.WarnContext(ctx, "a subscription to Redis ended: it is made again", "channel", channel, "error", fault(ctx, err))
		}
		if !s.pause(ctx, wait) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return ErrClosed
		}
		wait = min(2*wait, resubMost)
	}
}

// subscription is one, until it fails. stood says whether it was there at all.
func (s *Store) subscription(ctx context.Context, channel string, ready func(), heard func(string)) (stood bool, err error) {
	var ps *redis.PubSub
	if s.d.cluster != nil {
		ps = s.d.cluster.Subscribe(ctx) // any node tells what is said at any
	} else {
		ps = s.d.alone.Subscribe(ctx)
	}
	defer func() { _ = ps.Close() }() // it may be closed already
	// A read doesn't end with a context, only with its connection.
	defer context.AfterFunc(ctx, func() { _ = ps.Close() })()
	if err := ps.Subscribe(ctx, channel); err != nil {
		return false, err
	}
	for asked := false; ; {
		m, err := ps.ReceiveTimeout(ctx, pingAfter)
		var n net.Error
		switch {
		case err == nil:
			asked = false
		case stood && !asked && errors.As(err, &n) && n.Timeout():
			if err := ps.Ping(ctx); err != nil {
				return stood, err
			}
			asked = true
			continue
		default:
			return stood, err
		}
		switch m := m.(type) {
		case *redis.Subscription:
			if stood { // go-redis has connected anew by itself: begin again
				return stood, errors.New("the connection was lost")
			}
			stood = true
			if ready != nil {
				ready()
			}
		case *redis.Message:
			if len(m.Payload) <= maxMessage {
				heard(m.Payload)
			}
		}
	}
}
