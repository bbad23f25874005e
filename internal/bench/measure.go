package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A cell is one arrangement under one load.
type cell struct {
	name        string
	arrangement string
	load        load
	oneCore     bool // the proxy beside the client: no core has to be woken from its sleep
}

// A scenario is a set of cells that are measured in turn, round after round.
type scenario struct {
	name, title string
	cells       []cell
}

// The scenarios, and in fresh the cells, that the musts name.
const (
	plain   = "plain"
	single  = "single"
	connect = "connect"
	bulk    = "bulk"
	h2      = "h2"
	idle    = "idle"
	tracing = "tracing"

	full    = ", full"
	resumed = ", resumed"
)

func scenarioNames() []string {
	return []string{plain, single, connect, bulk, h2, idle, tracing}
}

// scenarios is the programme. A load lacks only what its arrangement adds.
func (l *lab) scenarios() []scenario {
	each := func(w load, names ...string) (cells []cell) {
		for _, name := range names {
			cells = append(cells, cell{name: name, arrangement: name, load: w, oneCore: w.Callers == 1 && w.Path == plainPath})
		}
		return cells
	}
	many := load{Kind: keptAlive, Path: plainPath, Callers: 64}
	one := load{Kind: keptAlive, Path: plainPath, Callers: 1}
	var handshakes []cell
	for _, name := range []string{goproxyTuned, sallyport} {
		w := load{Kind: fresh, Path: plainPath, Callers: 8}
		handshakes = append(handshakes, cell{name: name + full, arrangement: name, load: w})
		w.Resume = true
		handshakes = append(handshakes, cell{name: name + resumed, arrangement: name, load: w})
	}
	return []scenario{
		{plain, "Plain requests, 64 callers, kept-alive", each(many, direct, blind, goproxyDefault, goproxyTuned, sallyport)},
		{single, "One caller, everything on one core", each(one, direct, blind, goproxyTuned, sallyport)},
		{connect, "New connections: CONNECT, TLS, one request, 8 callers", handshakes},
		{bulk, "Bulk, answers of 256 MiB, one caller", each(load{Kind: keptAlive, Path: bulkPath, Callers: 1}, blind, goproxyTuned, sallyport)},
		{h2, "HTTP/2 client side, 64 callers on 4 connections", each(load{Kind: http2, Path: plainPath, Callers: 64}, goproxyTuned, sallyport)},
		{idle, fmt.Sprintf("Idle intercepted connections, %d of them, fresh processes", l.o.idle), each(load{Kind: held, Path: plainPath, Callers: l.o.idle}, l.holders()...)},
		{tracing, "Every request traced to OTLP, 64 callers", each(many, sallyport, traced)},
	}
}

// holders are the arrangements that can hold the idle connections: goproxy's
// blind tunnel takes six descriptors each, two sockets and two pipes.
func (l *lab) holders() []string {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err == nil && limit.Max < uint64(6*l.o.idle+200) {
		return []string{goproxyTuned, sallyport}
	}
	return []string{blind, goproxyTuned, sallyport}
}

// A sample is what one cell gave in one round.
type sample struct {
	tally
	CPU      float64 // seconds of the proxy
	KiB      float64 // resident memory added for each connection (idle)
	Token    int64   // requests to the token and introspection endpoints
	Written  int64   // bytes that the proxy sent to its disk
	Touched  bool    // a file in its state directory changed
	Lines    int64   // that the proxy logged
	Untraced int64   // requests whose span did not arrive (tracing)
}

// results are samples by scenario and cell, one a round.
type results map[string]map[string][]sample

// measure runs the programme. Any failed request ends it with an error.
func (l *lab) measure(ctx context.Context) (results, error) {
	all := results{}
	for _, s := range l.scenarios() {
		if len(l.o.only) > 0 && !slices.Contains(l.o.only, s.name) {
			continue
		}
		all[s.name] = map[string][]sample{}
		rounds := l.o.rounds
		if s.name == idle {
			rounds = min(rounds, 3) // slow, and its cells start afresh every time
		}
		for round := range rounds {
			for _, c := range s.cells {
				if l.leftOut(c.arrangement) {
					continue
				}
				fmt.Fprintf(os.Stderr, "%s: round %d of %d: %s\n", s.name, round+1, rounds, c.name)
				got, err := l.cell(ctx, c)
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", s.name, c.name, err)
				}
				all[s.name][c.name] = append(all[s.name][c.name], got)
			}
		}
	}
	return all, nil
}

// cell measures one cell once.
func (l *lab) cell(ctx context.Context, c cell) (sample, error) {
	if c.load.Kind == held {
		return l.held(ctx, c)
	}
	a, err := l.stand(ctx, c.arrangement)
	if err != nil {
		return sample{}, err
	}
	w := l.complete(c.load, a)
	w.Seconds = l.o.seconds
	if c.arrangement == traced {
		return l.tracedSample(ctx, a, w)
	}
	if c.oneCore && a.pid != 0 {
		if err := pin(a.pid, only(l.cores.load)); err != nil {
			return sample{}, err
		}
		s, err := l.sample(a, w)
		return s, errors.Join(err, pin(a.pid, only(l.cores.proxy)))
	}
	return l.sample(a, w)
}

// complete adds to a load what the arrangement asks of its client.
func (l *lab) complete(w load, a *arrangement) load {
	w.Target, w.Proxied, w.Auth, w.CAFile = a.proxy, a.proxy != "", a.auth, a.caFile
	if !w.Proxied {
		w.Target = l.upstreamAddr
	}
	if a.brings {
		w.Bearer = bearer
	}
	return w
}

// sample runs a load and takes the difference that it made.
func (l *lab) sample(a *arrangement, w load) (s sample, err error) {
	if err := l.client.tell(w); err != nil {
		return s, err
	}
	if err := l.client.hear(&ready{}); err != nil {
		return s, err
	}
	before, err := l.look(a)
	if err != nil {
		return s, err
	}
	if err := l.client.hear(&s.tally); err != nil {
		return s, err
	}
	after, err := l.look(a)
	if err != nil {
		return s, err
	}
	s.CPU, s.Token = after.cpu-before.cpu, after.counts.Token-before.counts.Token
	s.Written, s.Lines = after.written-before.written, after.lines-before.lines
	s.Touched = before.files != after.files
	return s, s.verdict(a)
}

// verdict is an error unless every request succeeded.
func (s sample) verdict(a *arrangement) error {
	if s.Errors == 0 && s.Requests > 0 {
		return nil
	}
	said := ""
	if a.said != nil {
		said = a.said.String()
	}
	return fmt.Errorf("%d callers failed after %d requests, so the run does not count: %s; the proxy said: %s", s.Errors, s.Requests, s.FirstError, said)
}

// held weighs a fresh process before and after a client of its own opened
// connections to it.
func (l *lab) held(ctx context.Context, c cell) (s sample, err error) {
	a, err := l.start(ctx, c.arrangement)
	if err != nil {
		return s, err
	}
	defer a.stop()
	before, err := l.weigh(a)
	if err != nil {
		return s, err
	}
	holder, err := startIdle(ctx, l.cores.load, "client")
	if err != nil {
		return s, err
	}
	defer holder.stop()
	if err := errors.Join(holder.tell(l.complete(c.load, a)), holder.hear(&ready{})); err != nil {
		return s, err
	}
	after, err := l.weigh(a)
	if err != nil {
		return s, err
	}
	if err := errors.Join(holder.tell("release"), holder.hear(&s.tally)); err != nil {
		return s, err
	}
	s.KiB = float64(after-before) / 1024 / float64(c.load.Callers)
	return s, s.verdict(a)
}

// weigh puts short loads on other connections until resident memory no longer
// falls, and returns it: what handshakes left behind is then collected and given
// back, as in a process that lives on.
func (l *lab) weigh(a *arrangement) (int64, error) {
	w := l.complete(load{Kind: keptAlive, Path: plainPath, Callers: 16, Seconds: min(1, l.o.seconds)}, a)
	least, steady := int64(math.MaxInt64), 0
	for range 20 {
		if _, err := l.sample(a, w); err != nil {
			return 0, err
		}
		now, err := resident(a.pid)
		if err != nil {
			return 0, err
		}
		if steady++; now < least-least/100 {
			steady = 0
		}
		if least = min(least, now); steady == 3 {
			break
		}
	}
	return least, nil
}

// tracedSample is sample, and counts the spans that did not arrive: a batch may
// take some seconds.
func (l *lab) tracedSample(ctx context.Context, a *arrangement, w load) (s sample, err error) {
	before, err := l.seen()
	if err != nil {
		return s, err
	}
	had, err := l.collector.spans()
	if err != nil {
		return s, err
	}
	if s, err = l.sample(a, w); err != nil {
		return s, err
	}
	after, err := l.seen()
	if err != nil {
		return s, err
	}
	for range 100 {
		have, err := l.collector.spans()
		if err != nil {
			return s, err
		}
		if s.Untraced = (after.API - before.API) - (have - had); s.Untraced <= 0 {
			break
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return s, err
		}
	}
	return s, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
