package sfsim

import (
	"encoding/binary"
	"sync"
	"time"
)

// defaultKeepalive is by when a Pub/Sub stream without events gets an empty
// message.
const defaultKeepalive = 270 * time.Second

// maxRetained is how many events a topic keeps.
const maxRetained = 10_000

// bus keeps the events of all orgs.
type bus struct {
	keepalive time.Duration

	mu      sync.Mutex        // guards all below and what they point to
	topics  map[string]*topic // by org id and name
	commits map[string]uint64 // replay ids of managed subscriptions, by org id and name
}

// topic is a list of events. Event n has the replay id n, from 1.
type topic struct {
	events [][]byte // ProducerEvents as they came; the first is number dropped+1
	// dropped counts the events that are no longer kept.
	dropped uint64
	more    chan struct{} // closed at the next event
}

func (b *bus) topic(orgID, name string) *topic {
	key := orgID + name
	t := b.topics[key]
	if t == nil {
		t = &topic{more: make(chan struct{})}
		b.topics[key] = t
	}
	return t
}

// add appends events and returns the replay id of the first.
func (b *bus) add(orgID, name string, events [][]byte) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.topic(orgID, name)
	first := t.last() + 1
	t.events = append(t.events, events...)
	if n := len(t.events) - maxRetained; n > 0 {
		t.events, t.dropped = t.events[n:], t.dropped+uint64(n)
	}
	close(t.more)
	t.more = make(chan struct{})
	return first
}

func (t *topic) last() uint64 { return t.dropped + uint64(len(t.events)) }

// bounds returns the replay ids before the first kept event and of the last.
func (b *bus) bounds(orgID, name string) (before, last uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.topic(orgID, name)
	return t.dropped, t.last()
}

// after returns at most n events after a replay id, the replay id of the first
// of them, the latest one, and a channel that is closed when there are more.
func (b *bus) after(orgID, name string, replay uint64, n int) (events [][]byte, first, last uint64, more <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.topic(orgID, name)
	from := max(replay, t.dropped)
	have := t.events[min(uint64(len(t.events)), from-t.dropped):]
	return have[:min(n, len(have))], from + 1, t.last(), t.more
}

func replayID(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func readReplayID(b []byte) (uint64, bool) {
	if len(b) != 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(b), true
}

// PublishEvent puts an event on a topic of an org, as Salesforce itself would: a
// ProducerEvent with the payload. It fails when there is no such org.
func (s *Sim) PublishEvent(orgRef, topicName string, payload []byte) error {
	return s.withOrg(orgRef, func(o *org) {
		s.bus.add(o.ID, topicName, [][]byte{proto{}.text(1, s.mint.uuid()).text(2, schemaOf(topicName)).bytes(3, payload)})
	})
}
