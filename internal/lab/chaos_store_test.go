package lab_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/redistest"
)

// chaosStore is the Redis of a chaos run.
type chaosStore interface {
	// url is where the i-th replica finds it.
	url(i int) string
	// record is a server that holds the records now.
	record(ctx context.Context) (*redistest.Server, error)
	// faults are the ways in which it fails. They end healed.
	faults() map[string]func(*chaos) error
}

// alone is one server with an append-only file. Each replica reaches it through
// a proxy of its own.
type alone struct {
	*redistest.Server
	dir     string
	proxies []*redistest.Proxy
	old     string // a copy of its append-only file, for rollBack; empty if none yet
}

func startAlone(t *testing.T) *alone {
	t.Helper()
	dir := t.TempDir()
	s := &alone{Server: redistest.Start(t, redistest.Options{Dir: dir, AppendOnly: true}), dir: dir}
	for range chaosReplicas {
		s.proxies = append(s.proxies, redistest.StartProxy(t, s.Addr()))
	}
	return s
}

func (s *alone) url(i int) string { return "redis://" + s.proxies[i].Addr() }

func (s *alone) record(context.Context) (*redistest.Server, error) { return s.Server, nil }

func (s *alone) faults() map[string]func(*chaos) error {
	return map[string]func(*chaos) error{
		"Redis killed": func(c *chaos) error {
			if err := s.Kill(); err != nil {
				return err
			}
			c.wait(c.dice.between(100*time.Millisecond, 4*time.Second))
			return s.Restart()
		},
		"Redis emptied":                     func(c *chaos) error { return s.FlushAll(c.t.Context()) },
		"Redis restored from an old state":  s.rollBack,
		"Redis killed with a replica":       s.killBoth,
		"a replica cut off Redis":           s.cutOff,
		"a slow way to Redis":               s.slow,
		"a reply of Redis lost":             s.loseReply,
		"Redis emptied during an exchange":  s.emptyDuring,
		"Redis suspended":                   s.suspend,
		"a replica cut off during exchange": s.cutDuring,
	}
}

// rollBack starts the server with what it held one exchange of each org ago, or
// longer ago.
func (s *alone) rollBack(c *chaos) error {
	files := filepath.Join(s.dir, "appendonlydir")
	if s.old == "" || c.dice.chance(50) {
		s.old = c.t.TempDir()
		if err := os.CopyFS(s.old, os.DirFS(files)); err != nil {
			return err
		}
	}
	for i, org := range chaosOrgs {
		c.exchange(org, i)
	}
	c.wait(c.dice.between(0, 500*time.Millisecond))
	if err := errors.Join(s.Kill(), os.RemoveAll(files), os.CopyFS(files, os.DirFS(s.old))); err != nil {
		return err
	}
	return s.Restart()
}

func (s *alone) killBoth(c *chaos) error {
	i := c.dice.IntN(chaosReplicas)
	c.exchange(c.anyOrg(), i)
	c.wait(c.dice.between(0, 10*time.Millisecond))
	if err := errors.Join(s.Kill(), c.kill(i)); err != nil {
		return err
	}
	c.wait(c.dice.between(0, 2*time.Second))
	return errors.Join(s.Restart(), c.restart(i))
}

func (s *alone) cutOff(c *chaos) error {
	p := s.proxies[c.dice.IntN(chaosReplicas)]
	p.Refuse(true)
	defer p.Refuse(false)
	p.Cut()
	c.wait(c.dice.between(time.Second, 5*time.Second))
	return nil
}

func (s *alone) cutDuring(c *chaos) error {
	i := c.dice.IntN(chaosReplicas)
	c.exchange(c.anyOrg(), i)
	p := s.proxies[i]
	p.Refuse(true)
	defer p.Refuse(false)
	p.Cut()
	c.wait(c.dice.between(time.Second, 5*time.Second))
	return nil
}

func (s *alone) slow(c *chaos) error {
	p := s.proxies[c.dice.IntN(chaosReplicas)]
	p.Delay(c.dice.between(20*time.Millisecond, 300*time.Millisecond))
	defer p.Delay(0)
	c.wait(2 * time.Second)
	return nil
}

func (s *alone) loseReply(c *chaos) error {
	i, after := c.dice.IntN(chaosReplicas), c.dice.IntN(6)
	done := s.proxies[i].LoseReply(func([]byte) bool {
		after--
		return after < 0
	})
	c.exchange(c.anyOrg(), i)
	select {
	case <-done:
	case <-time.After(2 * time.Second):
	}
	return nil
}

func (s *alone) emptyDuring(c *chaos) error {
	c.exchange(c.anyOrg(), c.dice.IntN(chaosReplicas))
	c.wait(c.dice.between(0, 10*time.Millisecond))
	return s.FlushAll(c.t.Context())
}

func (s *alone) suspend(c *chaos) error {
	if err := s.Stop(); err != nil {
		return err
	}
	c.wait(c.dice.between(500*time.Millisecond, 3*time.Second))
	return s.Cont()
}

// sentinel is a master with two replicas and three Sentinels.
type sentinel struct{ *redistest.Sentinel }

func startSentinel(t *testing.T) sentinel {
	t.Helper()
	return sentinel{redistest.StartSentinel(t, redistest.Options{}, 2)}
}

func (s sentinel) url(int) string { return s.URL() }

func (s sentinel) record(ctx context.Context) (*redistest.Server, error) { return s.Master(ctx) }

func (s sentinel) faults() map[string]func(*chaos) error {
	return map[string]func(*chaos) error{
		"the master killed": func(c *chaos) error {
			old, err := s.ready(c.t.Context())
			if err != nil {
				return err
			}
			if c.dice.chance(50) {
				c.exchange(c.anyOrg(), c.dice.IntN(chaosReplicas))
				c.wait(c.dice.between(0, 8*time.Millisecond))
			}
			if _, err := s.KillMaster(c.t.Context()); err != nil {
				return err
			}
			c.wait(c.dice.between(0, 2*time.Second))
			return old.Restart()
		},
		"the master suspended": func(c *chaos) error {
			old, err := s.ready(c.t.Context())
			if err != nil {
				return err
			}
			if err := old.Stop(); err != nil {
				return err
			}
			c.wait(c.dice.between(300*time.Millisecond, 4*time.Second))
			return old.Cont()
		},
		"a failover": func(c *chaos) error {
			if _, err := s.ready(c.t.Context()); err != nil {
				return err
			}
			_, err := s.Failover(c.t.Context())
			return err
		},
		"Redis emptied": func(c *chaos) error {
			m, err := s.ready(c.t.Context())
			if err != nil {
				return err
			}
			return m.FlushAll(c.t.Context())
		},
	}
}

// ready is the master, once the Sentinels agree and both replicas follow it: a
// failover without anybody to fail over to is an outage that proves nothing.
func (s sentinel) ready(ctx context.Context) (m *redistest.Server, err error) {
	for range 2 {
		if m, err = s.Master(ctx); err == nil {
			err = m.AwaitReplicas(2)
		}
		if err == nil {
			return m, nil
		}
	}
	return nil, err
}
