package main

import (
	"context"
	"fmt"
	"os"
	"slices"
)

// lab is the set-up that stands for a whole run: certificates, upstream, client
// and the arrangements that were needed so far.
type lab struct {
	o            options
	cores        cores
	dir          string
	upstreamCA   *pair
	peerCA       *pair
	upstream     *child
	upstreamAddr string
	client       *child
	collector    *collector
	binary       string // sallyport; empty until it is built
	standing     map[string]*arrangement
}

// newLab builds sallyport unless it is left out, and starts the upstream and
// the client. The caller closes the lab.
func newLab(ctx context.Context, o options) (*lab, error) {
	c, err := pickCores()
	if err != nil {
		return nil, err
	}
	l := &lab{o: o, cores: c, standing: map[string]*arrangement{}}
	if err := l.setUp(ctx); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *lab) setUp(ctx context.Context) (err error) {
	if l.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return err
	}
	if !l.o.without {
		if err = l.buildSallyport(ctx); err != nil {
			return err
		}
	}
	if err = pin(os.Getpid(), only(l.cores.load)); err != nil {
		return err
	}
	if l.upstreamCA, err = newPair(l.dir, "upstream-ca", nil); err != nil {
		return err
	}
	if l.peerCA, err = newPair(l.dir, "peer-ca", nil); err != nil {
		return err
	}
	leaf, err := newPair(l.dir, "upstream", l.upstreamCA)
	if err != nil {
		return err
	}
	if l.upstream, err = startRole(ctx, l.cores.load, "upstream", upstreamConfig{Cert: leaf.cert, Key: leaf.key}); err != nil {
		return err
	}
	var r ready
	if err = l.upstream.hear(&r); err != nil {
		return err
	}
	l.upstreamAddr = r.Addr
	if l.client, err = startIdle(ctx, l.cores.load, "client"); err != nil {
		return err
	}
	return nil
}

// close ends every process and removes every file of the run.
func (l *lab) close() {
	for _, a := range l.standing {
		a.stop()
	}
	if l.collector != nil {
		l.collector.stop()
	}
	for _, c := range []*child{l.client, l.upstream} {
		if c != nil {
			c.stop()
		}
	}
	_ = pin(os.Getpid(), &l.cores.all)
	if l.dir != "" {
		_ = os.RemoveAll(l.dir)
	}
}

// start starts an arrangement of its own; the caller stops it.
func (l *lab) start(ctx context.Context, name string) (*arrangement, error) {
	switch name {
	case direct:
		return &arrangement{name: direct, caFile: l.upstreamCA.cert, brings: true, stop: func() {}}, nil
	case sallyport, traced:
		return l.startSallyport(ctx, name)
	}
	return l.startGoproxy(ctx, name)
}

// stand returns the arrangement that stands for the whole run.
func (l *lab) stand(ctx context.Context, name string) (*arrangement, error) {
	if a := l.standing[name]; a != nil {
		return a, nil
	}
	a, err := l.start(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	l.standing[name] = a
	return a, nil
}

// leftOut tells whether an arrangement is not part of this run.
func (l *lab) leftOut(name string) bool {
	return l.o.without && slices.Contains([]string{sallyport, traced}, name)
}

// seen asks the upstream what it saw so far.
func (l *lab) seen() (counts, error) {
	var c counts
	if err := l.upstream.tell("counts"); err != nil {
		return c, err
	}
	return c, l.upstream.hear(&c)
}
