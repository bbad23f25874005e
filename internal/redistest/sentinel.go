package redistest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
)

// masterName is how the Sentinels call the master.
const masterName = "mymaster"

// Sentinel is a master with its replicas, watched by three Sentinels.
type Sentinel struct {
	// Servers are the master of the beginning and its replicas.
	Servers []*Server
	// Sentinels watch them.
	Sentinels []*Server
}

// RunSentinel starts a master, a number of replicas and three Sentinels, which
// name another master half a second after they lost it. Every directory is made
// below o.Dir.
func RunSentinel(o Options, replicas int) (_ *Sentinel, err error) {
	c := &Sentinel{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	dir := o.Dir
	for i := range replicas + 1 {
		o.Dir, o.ReplicaOf = filepath.Join(dir, "server"+strconv.Itoa(i)), nil
		if i > 0 {
			o.ReplicaOf = c.Servers[0]
		}
		s, err := Run(o)
		if err != nil {
			return nil, err
		}
		c.Servers = append(c.Servers, s)
	}
	if err := c.Servers[0].AwaitReplicas(replicas); err != nil {
		return nil, err
	}
	for i := range 3 {
		s, err := runSentinel(c.Servers[0], filepath.Join(dir, "sentinel"+strconv.Itoa(i)))
		if err != nil {
			return nil, err
		}
		c.Sentinels = append(c.Sentinels, s)
	}
	return c, until("Sentinels", func(ctx context.Context) error { return c.agree(ctx, replicas) })
}

func runSentinel(master *Server, dir string) (*Server, error) {
	lines := []string{
		fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d 2", masterName, master.port),
		"sentinel down-after-milliseconds " + masterName + " 500",
		"sentinel failover-timeout " + masterName + " 3000",
	}
	if master.o.Password != "" {
		lines = append(lines, "sentinel auth-pass "+masterName+" "+master.o.Password)
	}
	return start(&Server{o: Options{Dir: dir, Config: lines}, program: "redis-sentinel"})
}

// agree reports whether every Sentinel knows all others and all replicas.
func (c *Sentinel) agree(ctx context.Context, replicas int) error {
	for _, s := range c.Sentinels {
		info, err := s.Do(ctx, "INFO", "sentinel")
		if err != nil {
			return err
		}
		if want := fmt.Sprintf("slaves=%d,sentinels=%d", replicas, len(c.Sentinels)); !strings.Contains(fmt.Sprint(info), want) {
			return fmt.Errorf("Sentinel %s doesn't say %s yet", s.Addr(), want)
		}
	}
	return nil
}

// URL asks the Sentinels for the master, in the scheme redis+sentinel.
func (c *Sentinel) URL() string {
	q := url.Values{"master_name": {masterName}}
	for _, s := range c.Sentinels[1:] {
		q.Add("addr", s.Addr())
	}
	if p := c.Servers[0].o.Password; p != "" {
		q.Set("password", p)
	}
	u := url.URL{Scheme: "redis+sentinel", Host: c.Sentinels[0].Addr(), RawQuery: q.Encode()}
	return u.String()
}

// Master is the server that most of the Sentinels take for it.
func (c *Sentinel) Master(ctx context.Context) (*Server, error) {
	votes := map[string]int{}
	for _, s := range c.Sentinels {
		v, err := s.Do(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", masterName)
		if err != nil {
			return nil, err
		}
		if a, ok := v.([]any); ok && len(a) == 2 {
			votes[fmt.Sprint(a[0], ":", a[1])]++
		}
	}
	for _, s := range c.Servers {
		if votes[s.Addr()] > len(c.Sentinels)/2 {
			return s, nil
		}
	}
	return nil, fmt.Errorf("redistest: the Sentinels don't agree: %v", votes)
}

// KillMaster kills the master and returns the one that took its place.
func (c *Sentinel) KillMaster(ctx context.Context) (*Server, error) {
	old, err := c.Master(ctx)
	if err != nil {
		return nil, err
	}
	if err := old.Kill(); err != nil {
		return nil, err
	}
	return c.failedOver(old)
}

// Failover lets a replica take the place of the master, which lives on.
func (c *Sentinel) Failover(ctx context.Context) (*Server, error) {
	old, err := c.Master(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := c.Sentinels[0].Do(ctx, "SENTINEL", "FAILOVER", masterName); err != nil {
		return nil, err
	}
	return c.failedOver(old)
}

func (c *Sentinel) failedOver(old *Server) (s *Server, err error) {
	err = until("failover", func(ctx context.Context) error {
		if s, err = c.Master(ctx); err != nil {
			return err
		}
		if s == old {
			return errors.New("the master is the old one")
		}
		info, err := s.Do(ctx, "INFO", "replication")
		if err != nil {
			return err
		}
		if !strings.Contains(fmt.Sprint(info), "role:master") {
			return errors.New("the new master isn't one yet")
		}
		return nil
	})
	return s, err
}

// AwaitReplicas waits until n replicas are connected and in step.
func (s *Server) AwaitReplicas(n int) error {
	return until("replicas", func(ctx context.Context) error {
		info, err := s.Do(ctx, "INFO", "replication")
		if err != nil {
			return err
		}
		if got := strings.Count(fmt.Sprint(info), "state=online"); got != n {
			return fmt.Errorf("%d replicas of %d are in step", got, n)
		}
		return nil
	})
}

// Close kills all of them.
func (c *Sentinel) Close() error {
	var errs []error
	for _, s := range append(append([]*Server{}, c.Sentinels...), c.Servers...) {
		errs = append(errs, s.Kill())
	}
	return errors.Join(errs...)
}
