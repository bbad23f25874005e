package sfsim

import "time"

// maxFetch is the most events that one fetch request may ask for.
const maxFetch = 100

// fetch is a FetchRequest or ManagedFetchRequest.
type fetch struct {
	topic   string
	preset  uint64 // 0 latest, 1 earliest, 2 custom
	replay  []byte
	n       int32
	refresh string // auth_refresh
	commit  []byte // CommitReplayRequest
	subject string // subscription_id or developer_name, managed only
}

func readFetch(m []byte) (fetch, bool) {
	fields, ok := readProto(m)
	var q fetch
	for _, f := range fields {
		switch f.num {
		case 1:
			q.topic = string(f.b)
		case 2:
			q.preset = f.n
		case 3:
			q.replay = f.b
		case 4:
			q.n = int32(f.n)
		case 5:
			q.refresh = string(f.b)
		}
	}
	return q, ok
}

func readManagedFetch(m []byte) (fetch, bool) {
	fields, ok := readProto(m)
	var q fetch
	for _, f := range fields {
		switch f.num {
		case 1, 2:
			q.subject = string(f.b)
		case 3:
			q.n = int32(f.n)
		case 4:
			q.refresh = string(f.b)
		case 5:
			q.commit = f.b
		}
	}
	return q, ok
}

// subscription is a running Subscribe or ManagedSubscribe.
type subscription struct {
	*rpc
	topic   string
	at      uint64 // replay id of the last event delivered or skipped
	pending int    // events asked for and not delivered
	read    func([]byte) (fetch, bool)
	managed string // key of the committed replay id
}

func (s *Sim) subscribe(r *rpc) *grpcError {
	return (&subscription{rpc: r, read: readFetch}).run()
}

func (s *Sim) managedSubscribe(r *rpc) *grpcError {
	return (&subscription{rpc: r, read: readManagedFetch, managed: r.session.org.ID}).run()
}

// run serves the stream until the caller's half-close, an error, or the end of
// the connection. The session was looked at once and isn't again, except under
// the switch.
func (v *subscription) run() *grpcError {
	messages, stop := v.messages()
	defer stop()
	closing, _ := v.call.Context().Value(closingKey{}).(<-chan struct{})
	idle := time.NewTimer(v.sim.bus.keepalive)
	defer idle.Stop()
	started := false
	var more <-chan struct{}
	for {
		select {
		case in := <-messages:
			if in.err != nil {
				return v.ended(in.err)
			}
			if err := v.request(in.m, !started); err != nil || v.call.cut {
				return err
			}
			started = true
		case <-more:
		case <-idle.C:
			if started && v.deliver(nil, 0) != nil {
				v.call.cut = true
				return nil
			}
			idle.Reset(v.sim.bus.keepalive)
		case <-closing:
			v.call.cut = true
			return nil
		case <-v.call.Context().Done():
			v.call.cut = true
			return nil
		}
		if v.sim.Switches().StreamDiesWithToken && !v.session.alive(v.sim.now()) {
			return unauthenticated("service.auth.error")
		}
		if !started {
			continue
		}
		var sent bool
		if sent, more = v.pump(); v.call.cut {
			return nil
		} else if sent {
			idle.Reset(v.sim.bus.keepalive)
		}
	}
}

type incoming struct {
	m   []byte
	err error
}

// messages reads the caller's messages on a goroutine, which ends with the
// stream or when stop is called; stop waits for it.
func (v *subscription) messages() (<-chan incoming, func()) {
	out, quit, ended := make(chan incoming), make(chan struct{}), make(chan struct{})
	go func() { // ends at the first error: stop closes the body
		defer close(ended)
		for {
			m, err := v.recv()
			select {
			case out <- incoming{m, err}:
			case <-quit:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return out, func() {
		close(quit)
		_ = v.call.Body.Close() // unblocks the read
		<-ended
	}
}

// request takes one fetch request.
func (v *subscription) request(m []byte, first bool) *grpcError {
	q, ok := v.read(m)
	if !ok {
		return &grpcError{grpcInternal, "", "Invalid protobuf byte sequence"}
	}
	if first {
		if err := v.start(q); err != nil {
			return err
		}
	} else if q.topic != "" && q.topic != v.topic {
		return &grpcError{grpcInvalidArgument, "subscription.fetch.topic.mismatch", "The topic name must not change."}
	}
	if q.refresh != "" && !v.sim.refreshesAuth(v.call, q.refresh) {
		return unauthenticated("service.auth.refresh.invalid")
	}
	if q.commit != nil {
		if err := v.commit(q.commit); err != nil {
			return err
		}
	}
	if bad := q.n < 0 || q.n == 0 && v.managed == ""; bad {
		return &grpcError{grpcInvalidArgument, "subscription.fetch.requested.events.invalid", "The requested number of events must be greater than zero."}
	}
	if q.n > maxFetch && v.sim.Switches().FetchOver100Refused {
		return &grpcError{grpcInvalidArgument, "subscription.fetch.requested.events.invalid", "The requested number of events must not exceed 100."}
	}
	v.pending += min(int(q.n), maxFetch)
	return nil
}

// refreshesAuth reports whether the token in a message's auth_refresh is alive.
func (s *Sim) refreshesAuth(c *call, token string) bool {
	if s.access(token) == nil {
		s.violate(c, UnknownCredential, "auth_refresh, fingerprint "+Fingerprint(token))
	}
	return s.AccessAlive(token)
}

// start finds the topic and the place in it.
func (v *subscription) start(q fetch) *grpcError {
	org := v.session.org.ID
	if v.managed != "" {
		return v.resume(q)
	}
	if err := topicOf(q.topic); err != nil {
		return err
	}
	v.topic = q.topic
	before, last := v.sim.bus.bounds(org, v.topic)
	switch q.preset {
	case 1:
		v.at = before
	case 2:
		if len(q.replay) == 0 {
			return &grpcError{grpcInvalidArgument, "subscription.fetch.replayid.validation.failed", "The replay ID is missing."}
		}
		n, ok := readReplayID(q.replay)
		if !ok || n < before || n > last {
			return &grpcError{grpcInvalidArgument, "subscription.fetch.replayid.corrupted", "The Replay ID validation failed."}
		}
		v.at = n
	default:
		v.at = last
	}
	v.begin()
	return nil
}

// pump delivers what is there and asked for. It returns whether it sent
// something and a channel that is closed when there is more; nil when nothing is
// asked for.
func (v *subscription) pump() (sent bool, more <-chan struct{}) {
	for v.pending > 0 {
		events, first, _, next := v.sim.bus.after(v.session.org.ID, v.topic, v.at, v.pending)
		if len(events) == 0 {
			return sent, next
		}
		if v.deliver(events, first) != nil {
			v.call.cut = true
			return sent, nil
		}
		sent = true
	}
	return sent, nil
}

// deliver sends events, the first of which has the replay id first, or an empty
// message.
func (v *subscription) deliver(events [][]byte, first uint64) error {
	var m proto
	for i, e := range events {
		m = m.message(1, proto{}.message(1, e).bytes(2, replayID(first+uint64(i))))
	}
	latest := v.at
	if len(events) > 0 {
		v.at = first + uint64(len(events)) - 1
		v.pending -= len(events)
		latest = v.at
	} else if v.pending > 0 {
		_, latest = v.sim.bus.bounds(v.session.org.ID, v.topic)
	}
	return v.send(m.bytes(2, replayID(latest)).text(3, v.id).varint(4, uint64(v.pending)))
}
