package egress

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Standing is what is known of a source address: does what leaves by it arrive from a registered address?
type Standing uint8

// The standings. The zero Standing is unknown.
const (
	Unknown  Standing = iota // No echo has said yet, or none for more than a day.
	Verified                 // An echo saw a registered address.
	Mismatch                 // An echo saw another one.
)

// String returns the name that metrics and the API use.
func (s Standing) String() string {
	return [...]string{"unknown", "verified", "mismatch"}[min(s, Mismatch)]
}

// Range is addresses from From to To, both included, of one family.
type Range struct{ From, To netip.Addr }

func (r Range) contains(a netip.Addr) bool {
	return a.BitLen() == r.From.BitLen() && r.From.Compare(a) <= 0 && a.Compare(r.To) <= 0
}

const (
	// trustFor is how long an echo's word holds while no echo answers: an echo that is down must not stop exchanges.
	trustFor    = 24 * time.Hour
	attestEvery = 10 * time.Minute
	// attestAtMost bounds how often errors of the network cause another look.
	attestAtMost = 30 * time.Second
	echoTimeout  = 5 * time.Second
	maxEcho      = 4 << 10
)

// Attestation is what echoes said of one source address. It proves where a connection to the echo came from: behind a
// NAT with several addresses another connection may come from another one of them.
type Attestation struct {
	Source   netip.Addr // The zero Addr: the kernel's choice.
	Standing Standing
	Public   netip.Addr // As the echo saw it; the zero Addr: not known.
	At       time.Time  // Of the last answer.
	Echo     string     // The host that gave it.
	Err      error      // Of the last look, nil if it was answered.
}

// UnverifiedError says that a connection must not leave by a source address, since it isn't verified that it arrives
// from a registered one. Nothing was sent. Trying again is safe and helps once it is.
type UnverifiedError struct{ Attestation }

// Error implements error.
func (e *UnverifiedError) Error() string {
	from := "the kernel's choice of address"
	if e.Source.IsValid() {
		from = "source address " + e.Source.String()
	}
	switch {
	case e.Standing == Mismatch:
		return fmt.Sprintf("%s leaves as %v, which is not in SALLYPORT_EGRESS_ALLOWED (seen by %s at %s)", from, e.Public, e.Echo, e.At.UTC().Format(time.RFC3339))
	case e.Err != nil:
		return fmt.Sprintf("%s is not verified: %v", from, e.Err)
	}
	return from + " is not verified yet: no echo has answered"
}

// attestor keeps one attestation a source address.
type attestor struct {
	echo       []string
	registered []Range
	now        map[netip.Addr]*atomic.Pointer[Attestation] // Never changed after New.
	kick       chan struct{}                               // Asks for a look.
	one        sync.Mutex                                  // One look at a time.
}

func newAttestor(o Options, sources map[netip.Addr]*tls.Config) *attestor {
	a := &attestor{echo: o.Echo, registered: o.Registered, now: map[netip.Addr]*atomic.Pointer[Attestation]{}, kick: make(chan struct{}, 1)}
	for s := range sources {
		a.now[s] = &atomic.Pointer[Attestation]{}
		a.now[s].Store(&Attestation{Source: s})
	}
	return a
}

// Attestations are those of all source addresses, in order.
func (e *Egress) Attestations() []Attestation {
	var all []Attestation
	for s := range e.attestor.now {
		all = append(all, e.attestation(s))
	}
	slices.SortFunc(all, func(a, b Attestation) int { return a.Source.Compare(b.Source) })
	return all
}

// leavesBy is the first source address that was last seen to leave by public.
func (a *attestor) leavesBy(public netip.Addr) (first netip.Addr, ok bool) {
	for s, p := range a.now {
		if p.Load().Public == public && (!ok || s.Less(first)) {
			first, ok = s, true
		}
	}
	return first, ok
}

// Public is the address by which what leaves by source was last seen, the zero Addr where nobody has said.
func (e *Egress) Public(source netip.Addr) netip.Addr { return e.attestation(source).Public }

func (e *Egress) attestation(source netip.Addr) Attestation {
	p := e.attestor.now[source]
	if p == nil {
		return Attestation{Source: source}
	}
	a := *p.Load()
	if a.Standing == Verified && time.Since(a.At) > trustFor {
		a.Standing = Unknown
	}
	return a
}

// Registered fails with an [UnverifiedError] unless what leaves by source is verified to arrive from a registered
// address. Where no addresses are registered, everything may leave.
func (e *Egress) Registered(source netip.Addr) error {
	if len(e.attestor.registered) == 0 {
		return nil
	}
	if a := e.attestation(source); a.Standing != Verified {
		return &UnverifiedError{a}
	}
	return nil
}

// Attest asks the echoes about every source address, once.
func (e *Egress) Attest(ctx context.Context) {
	if len(e.attestor.echo) == 0 {
		return
	}
	e.attestor.one.Lock()
	defer e.attestor.one.Unlock()
	var each sync.WaitGroup
	for source, p := range e.attestor.now {
		each.Go(func() { // Ends with the echoes' timeouts.
			next := *p.Load()
			public, echo, err := e.askEchoes(ctx, source)
			if next.Err = err; err == nil {
				next.Public, next.Echo, next.At = public, echo, time.Now()
				next.Standing = e.attestor.judge(public)
			}
			p.Store(&next)
		})
	}
	each.Wait()
}

func (a *attestor) judge(public netip.Addr) Standing {
	switch {
	case len(a.registered) == 0:
		return Unknown
	case slices.ContainsFunc(a.registered, func(r Range) bool { return r.contains(public) }):
		return Verified
	}
	return Mismatch
}

// KeepAttesting asks the echoes regularly, and soon after an error of the network, until ctx ends. changed is called
// after each look that changed what is known.
func (e *Egress) KeepAttesting(ctx context.Context, changed func()) {
	if len(e.attestor.echo) == 0 {
		return
	}
	regular := time.NewTicker(attestEvery)
	defer regular.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-regular.C:
		case <-e.attestor.kick:
			pause := time.NewTimer(time.Until(last.Add(attestAtMost)))
			select {
			case <-ctx.Done():
				pause.Stop()
				return
			case <-pause.C:
			}
		}
		before := e.Attestations()
		e.Attest(ctx)
		last = time.Now()
		if !slices.EqualFunc(before, e.Attestations(), func(a, b Attestation) bool { return a.Standing == b.Standing && a.Public == b.Public }) {
			changed()
		}
	}
}

// Reattest asks for a look soon: the network may be another.
func (e *Egress) Reattest() {
	select {
	case e.attestor.kick <- struct{}{}:
	default:
	}
}

// askEchoes returns the address that the first echo to answer saw.
func (e *Egress) askEchoes(ctx context.Context, source netip.Addr) (netip.Addr, string, error) {
	var errs []error
	for _, echo := range e.attestor.echo {
		a, err := e.askEcho(ctx, source, echo)
		if err == nil {
			return a, hostOnly(echo), nil
		}
		errs = append(errs, fmt.Errorf("echo %s: %w", hostOnly(echo), err))
	}
	return netip.Addr{}, "", errors.Join(errs...)
}

func (e *Egress) askEcho(ctx context.Context, source netip.Addr, echo string) (netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, echoTimeout)
	defer cancel()
	t := &http.Transport{DisableKeepAlives: true, DisableCompression: true, DialTLSContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
		host, port, err := splitHostPort(addr)
		if err != nil {
			return nil, err
		}
		conn, err := e.connect(ctx, source, host, port, func(c *net.TCPConn) (net.Conn, error) { return c, nil })
		if err != nil {
			return nil, err
		}
		return handshake(ctx, conn, e.tls[source], host, addr, e.opts.HandshakeTimeout)
	}}
	c := &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, echo, nil)
	if err != nil {
		return netip.Addr{}, err
	}
	resp, err := c.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // Its URL may hold a key.
		}
		return netip.Addr{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxEcho))
	if err != nil {
		return netip.Addr{}, err
	}
	if resp.StatusCode != http.StatusOK {
		return netip.Addr{}, fmt.Errorf("it answered %d", resp.StatusCode)
	}
	return readEcho(b)
}

// readEcho reads an address as text, or as the ip of a JSON object.
func readEcho(b []byte) (netip.Addr, error) {
	s := strings.TrimSpace(string(b))
	var object struct {
		IP string `json:"ip"`
	}
	if strings.HasPrefix(s, "{") && json.Unmarshal(b, &object) == nil {
		s = object.IP
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, errors.New("it answered neither an address nor JSON with one as ip")
	}
	return a.Unmap(), nil
}

// hostOnly names an echo without its path and query, which may hold a key.
func hostOnly(echo string) string {
	u, err := url.Parse(echo)
	if err != nil {
		return "?"
	}
	return u.Host
}
