package redistest

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// Proxy stands between a client and a server, and does harm when told to. It is
// safe for concurrent use.
type Proxy struct {
	target string
	l      net.Listener
	wg     sync.WaitGroup // of the goroutines of all links

	// mu guards all below.
	mu     sync.Mutex
	links  map[*link]struct{}
	refuse bool
	delay  time.Duration
	faults []*fault
	struck []*fault // used up
	closed bool
}

// fault is something that happens once, to the first request that it matches.
type fault struct {
	match    func([]byte) bool
	withhold bool
	hit      chan struct{} // closed when a request matched
	once     sync.Once
	deliver  chan struct{} // closed by release when what was withheld may reach the server
	done     chan struct{} // closed when the server answered it
}

// link is one client's connection and ours to the server.
type link struct{ client, server net.Conn }

func (l *link) close() {
	l.client.Close()
	l.server.Close()
}

// NewProxy listens on a free port in front of target, host and port.
func NewProxy(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("redistest: %w", err)
	}
	p := &Proxy{target: target, l: l, links: map[*link]struct{}{}}
	p.wg.Add(1)
	go p.accept() // ends with Close
	return p, nil
}

// Addr is where clients connect to.
func (p *Proxy) Addr() string { return p.l.Addr().String() }

// Close ends every connection and waits for the end of all goroutines.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	for _, f := range p.struck {
		f.release()
	}
	p.mu.Unlock()
	p.l.Close()
	p.Cut()
	p.wg.Wait()
}

// Cut ends every connection that is open now.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.close()
	}
}

// Refuse says whether new connections end at once.
func (p *Proxy) Refuse(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = yes
}

// Delay lets each request wait for d before it reaches the server.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// LoseReply lets the next request that match accepts reach the server, drops the
// server's answer and ends the connection. The channel is closed when the server
// has answered.
func (p *Proxy) LoseReply(match func(request []byte) bool) <-chan struct{} {
	return p.add(&fault{match: match}).done
}

// Withhold ends the connection of the next request that match accepts, and lets
// it reach the server only when deliver is called, as a slow network does.
// deliver returns when the server has answered it. The channel is closed when a
// request matched.
func (p *Proxy) Withhold(match func(request []byte) bool) (hit <-chan struct{}, deliver func()) {
	f := p.add(&fault{match: match, withhold: true})
	return f.hit, func() {
		f.release()
		<-f.done
	}
}

func (p *Proxy) add(f *fault) *fault {
	f.hit, f.deliver, f.done = make(chan struct{}), make(chan struct{}), make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, f)
	return f
}

func (f *fault) release() { f.once.Do(func() { close(f.deliver) }) }

func (p *Proxy) accept() {
	defer p.wg.Done()
	for {
		client, err := p.l.Accept()
		if err != nil {
			return // closed
		}
		p.mu.Lock()
		refuse := p.refuse || p.closed
		p.mu.Unlock()
		if refuse {
			client.Close()
			continue
		}
		server, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", p.target)
		if err != nil {
			client.Close()
			continue
		}
		l := &link{client, server}
		p.mu.Lock()
		p.links[l] = struct{}{}
		p.mu.Unlock()
		p.wg.Add(1)
		go p.serve(l) // ends with either connection
	}
}

// serve carries what passes over l.
func (p *Proxy) serve(l *link) {
	defer p.wg.Done()
	answers := make(chan []byte)
	p.wg.Add(1)
	go func() { // ends with the server's connection, which serve closes
		defer p.wg.Done()
		defer close(answers)
		for {
			b := make([]byte, 64<<10)
			n, err := l.server.Read(b)
			if n > 0 {
				answers <- b[:n]
			}
			if err != nil {
				return
			}
		}
	}()
	requests := make(chan []byte)
	p.wg.Add(1)
	go func() { // ends with the client's connection, which serve closes
		defer p.wg.Done()
		defer close(requests)
		for {
			b := make([]byte, 64<<10)
			n, err := l.client.Read(b)
			if n > 0 {
				requests <- b[:n]
			}
			if err != nil {
				return
			}
		}
	}()
	p.carry(l, requests, answers)
	l.close()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
	for range requests { // lets the readers end
	}
	for range answers {
	}
}

func (p *Proxy) carry(l *link, requests, answers <-chan []byte) {
	for {
		select {
		case b, ok := <-requests:
			if !ok {
				return
			}
			f, delay := p.meets(b)
			if delay > 0 {
				<-time.After(delay)
			}
			if f != nil {
				p.strike(l, f, b, answers)
				return
			}
			if _, err := l.server.Write(b); err != nil {
				return
			}
		case b, ok := <-answers:
			if !ok {
				return
			}
			if _, err := l.client.Write(b); err != nil {
				return
			}
		}
	}
}

// meets returns the fault that this request meets, if any, and uses it up.
func (p *Proxy) meets(b []byte) (*fault, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, f := range p.faults {
		if f.match(b) {
			p.faults = append(p.faults[:i:i], p.faults[i+1:]...)
			p.struck = append(p.struck, f)
			close(f.hit)
			return f, p.delay
		}
	}
	return nil, p.delay
}

func (p *Proxy) strike(l *link, f *fault, b []byte, answers <-chan []byte) {
	defer close(f.done)
	if f.withhold {
		// Cut must not end the way to the server.
		p.mu.Lock()
		delete(p.links, l)
		p.mu.Unlock()
		l.client.Close()
		<-f.deliver
	}
	if _, err := l.server.Write(b); err == nil {
		<-answers
	}
}
