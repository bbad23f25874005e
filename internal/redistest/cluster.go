package redistest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// slots is how many hash slots a Cluster has.
const slots = 16384

// Cluster is a Redis Cluster of masters without replicas.
type Cluster struct {
	Servers []*Server
}

// RunCluster starts a Cluster of n masters, each with its share of the slots.
// Every directory is made below o.Dir.
func RunCluster(o Options, n int) (_ *Cluster, err error) {
	c := &Cluster{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	dir := o.Dir
	o.cluster = true
	for i := range n {
		o.Dir = filepath.Join(dir, "node"+strconv.Itoa(i))
		s, err := Run(o)
		if err != nil {
			return nil, err
		}
		c.Servers = append(c.Servers, s)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	for i, s := range c.Servers {
		for _, args := range [][]any{
			{"CLUSTER", "SET-CONFIG-EPOCH", i + 1},
			{"CLUSTER", "ADDSLOTSRANGE", i * slots / n, (i+1)*slots/n - 1},
		} {
			if _, err := s.Do(ctx, args...); err != nil {
				return nil, err
			}
		}
	}
	for _, s := range c.Servers[1:] {
		if _, err := c.Servers[0].Do(ctx, "CLUSTER", "MEET", "127.0.0.1", s.port, s.bus); err != nil {
			return nil, err
		}
	}
	return c, until("Cluster", c.agree)
}

func (c *Cluster) agree(ctx context.Context) error {
	for _, s := range c.Servers {
		info, err := s.Do(ctx, "CLUSTER", "INFO")
		if err != nil {
			return err
		}
		text := fmt.Sprint(info)
		if !strings.Contains(text, "cluster_state:ok") || !strings.Contains(text, fmt.Sprintf("cluster_known_nodes:%d", len(c.Servers))) {
			return fmt.Errorf("node %s isn't in the Cluster yet", s.Addr())
		}
	}
	return nil
}

// Owner is the node that has the slot of key.
func (c *Cluster) Owner(ctx context.Context, key string) (*Server, error) {
	v, err := c.Servers[0].Do(ctx, "CLUSTER", "KEYSLOT", key)
	if err != nil {
		return nil, err
	}
	slot, ok := v.(int64)
	for i, s := range c.Servers {
		if ok && int(slot) < (i+1)*slots/len(c.Servers) {
			return s, nil
		}
	}
	return nil, fmt.Errorf("redistest: no slot for %q: %v", key, v)
}

// URL is in the scheme redis+cluster.
func (c *Cluster) URL() string {
	q := url.Values{}
	for _, s := range c.Servers[1:] {
		q.Add("addr", s.Addr())
	}
	u := url.URL{Scheme: "redis+cluster", Host: c.Servers[0].Addr(), RawQuery: q.Encode()}
	if p := c.Servers[0].o.Password; p != "" {
		u.User = url.UserPassword("", p)
	}
	return u.String()
}

// Close kills all nodes.
func (c *Cluster) Close() error {
	var errs []error
	for _, s := range c.Servers {
		errs = append(errs, s.Kill())
	}
	return errors.Join(errs...)
}

// Move gives the slot of key, with all that is in it, to the next node.
func (c *Cluster) Move(ctx context.Context, key string) error {
	from, err := c.Owner(ctx, key)
	if err != nil {
		return err
	}
	to := c.Servers[(slices.Index(c.Servers, from)+1)%len(c.Servers)]
	ids := map[*Server]any{}
	for _, s := range []*Server{from, to} {
		if ids[s], err = s.Do(ctx, "CLUSTER", "MYID"); err != nil {
			return err
		}
	}
	slot, err := from.Do(ctx, "CLUSTER", "KEYSLOT", key)
	if err != nil {
		return err
	}
	if _, err := to.Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[from]); err != nil {
		return err
	}
	if _, err := from.Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[to]); err != nil {
		return err
	}
	names, err := from.Do(ctx, "CLUSTER", "GETKEYSINSLOT", slot, 1000)
	if err != nil {
		return err
	}
	all, _ := names.([]any)
	args := append([]any{"MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS"}, all...)
	if _, err := from.Do(ctx, args...); err != nil {
		return err
	}
	for _, s := range append([]*Server{to, from}, c.Servers...) {
		if _, err := s.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", ids[to]); err != nil {
			return err
		}
	}
	return nil
}
