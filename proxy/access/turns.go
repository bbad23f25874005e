package access

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	// suspectFor is how long a source stands behind the others after a wrong guess.
	suspectFor = time.Minute
	// maxSuspects is how many sources that guessed wrong are remembered.
	maxSuspects = 4096
	// maxWaiting is how many callers of one source wait at a time.
	maxWaiting = 256
)

// turns hands out the turns in which slow hashes are computed, few at a time. It is fair: sources take turns with each
// other, and within a source the names do. A source that guessed wrong a short time ago stands behind all that didn't,
// has one turn at a time, and leaves half of all turns to others, so that whoever floods queues behind himself. It looks
// at nothing that would tell which names exist. It is safe for concurrent use.
type turns struct {
	limit int

	// mu guards the fields below.
	mu       sync.Mutex
	running  int
	suspects int                // Of those running, of sources that guessed wrong.
	sources  map[string]*source // That run or wait.
	queue    []*source          // That wait, the next one first.
	wrong    *lru.Cache[string, time.Time]
}

// source is where callers come from.
type source struct {
	key     string
	running int
	waiting int
	lines   []*line // By name, the next one first; none is empty.
}

type line struct {
	name  string
	turns []*turn
}

// turn is one caller's.
type turn struct {
	source  *source
	name    string
	begun   chan struct{} // Closed when it is handed out.
	handed  bool
	suspect bool // It counts among the suspects.
}

func newTurns(limit int) (*turns, error) {
	wrong, err := lru.New[string, time.Time](maxSuspects)
	return &turns{limit: limit, sources: make(map[string]*source), wrong: wrong}, err
}

// take waits for a turn, which must be given back; nil when there was none in time.
func (ts *turns) take(key, name string, wait time.Duration) *turn {
	t := ts.queueUp(key, name)
	if t == nil {
		return nil
	}
	late := time.NewTimer(wait)
	defer late.Stop()
	select {
	case <-t.begun:
		return t
	case <-late.C:
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t.handed {
		return t
	}
	ts.leave(t)
	return nil
}

// give gives t back and tells whether the guess was wrong.
func (ts *turns) give(t *turn, wrong bool) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if wrong {
		ts.wrong.Add(t.source.key, time.Now())
	}
	ts.running--
	t.source.running--
	if t.suspect {
		ts.suspects--
	}
	ts.forget(t.source)
	ts.hand()
}

func (ts *turns) queueUp(key, name string) *turn {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	s := ts.sources[key]
	if s == nil {
		s = &source{key: key}
		ts.sources[key] = s
	}
	if s.waiting >= maxWaiting {
		return nil
	}
	t := &turn{source: s, name: name, begun: make(chan struct{})}
	if s.waiting++; s.waiting == 1 {
		ts.queue = append(ts.queue, s)
	}
	if i := slices.IndexFunc(s.lines, func(l *line) bool { return l.name == name }); i >= 0 {
		s.lines[i].turns = append(s.lines[i].turns, t)
	} else {
		s.lines = append(s.lines, &line{name, []*turn{t}})
	}
	ts.hand()
	return t
}

// hand hands out what turns there are. The caller holds mu.
func (ts *turns) hand() {
	for ts.running < ts.limit {
		i, suspect := ts.next()
		if i < 0 {
			return
		}
		s := ts.queue[i]
		ts.queue = slices.Delete(ts.queue, i, i+1)
		l := s.lines[0]
		t := l.turns[0]
		if l.turns, s.lines = l.turns[1:], s.lines[1:]; len(l.turns) > 0 {
			s.lines = append(s.lines, l)
		}
		if s.waiting--; s.waiting > 0 {
			ts.queue = append(ts.queue, s)
		}
		ts.running++
		s.running++
		if suspect {
			ts.suspects++
		}
		t.handed, t.suspect = true, suspect
		close(t.begun)
	}
}

// next finds whose turn it is in the queue; -1 if it is nobody's. The caller holds mu.
func (ts *turns) next() (at int, suspect bool) {
	at = -1
	for i, s := range ts.queue {
		if when, wrong := ts.wrong.Get(s.key); !wrong || time.Since(when) > suspectFor {
			return i, false
		}
		if at < 0 && s.running == 0 && ts.suspects < max(1, ts.limit/2) {
			at = i
		}
	}
	return at, true
}

// leave takes t out of the queue. The caller holds mu.
func (ts *turns) leave(t *turn) {
	s := t.source
	for i, l := range s.lines {
		if j := slices.Index(l.turns, t); j >= 0 {
			if l.turns = slices.Delete(l.turns, j, j+1); len(l.turns) == 0 {
				s.lines = slices.Delete(s.lines, i, i+1)
			}
			break
		}
	}
	if s.waiting--; s.waiting == 0 {
		ts.queue = slices.DeleteFunc(ts.queue, func(q *source) bool { return q == s })
	}
	ts.forget(s)
}

// forget drops a source that neither runs nor waits. The caller holds mu.
func (ts *turns) forget(s *source) {
	if s.running == 0 && s.waiting == 0 {
		delete(ts.sources, s.key)
	}
}

// sourceOf names where a connection comes from: the address, without its port; of IPv6 the network of 64 bits, of
// which one machine has any number of addresses.
func sourceOf(peer string) string {
	ap, err := netip.ParseAddrPort(peer)
	if err != nil {
		return peer // A Unix socket's.
	}
	a := ap.Addr().Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a.String()
	}
	return p.String()
}
