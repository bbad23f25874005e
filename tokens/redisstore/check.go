package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Facts is what [Store.Check] found.
type Facts struct {
	// Nodes are the servers that hold data: one, or each master of a Cluster.
	Nodes []Node
	// TLS says that the connections are encrypted.
	TLS bool
	// Wait is how many replicas must acknowledge a write.
	Wait int
	// Missing are the commands and channels that the user has no right to, as
	// the server names them.
	Missing []error
}

// Node is one server.
type Node struct {
	Address  string
	Version  string
	Role     string // "master", or what it says it is
	Policy   string // maxmemory-policy; must be "noeviction"
	Evicts   bool   // it may throw records away
	AppendTo bool   // it writes an append-only file
	// Fsync is appendfsync, empty where the user may not ask for it.
	Fsync string
	// Replicas that are connected and in step.
	Replicas int
}

// Short reports whether a node has fewer replicas than must acknowledge.
func (f Facts) Short() bool {
	for _, n := range f.Nodes {
		if n.Replicas < f.Wait {
			return true
		}
	}
	return false
}

// Check says how the store's servers are set up, for a person to judge. It
// writes nothing but a key that it removes.
func (s *Store) Check(ctx context.Context) (Facts, error) {
	f := Facts{TLS: s.d.tls, Wait: s.wait}
	var err error
	if f.Missing, err = s.probe(ctx); err != nil {
		return f, fmt.Errorf("check the Redis store: %w", err)
	}
	ask := func(ctx context.Context, c *redis.Client) error {
		n, err := describe(ctx, c)
		if err == nil {
			s.mu.Lock()
			f.Nodes = append(f.Nodes, n)
			s.mu.Unlock()
		}
		return err
	}
	if s.d.cluster != nil {
		err = s.d.cluster.ForEachMaster(ctx, ask)
	} else {
		err = ask(ctx, s.d.alone)
	}
	if err != nil {
		return f, fmt.Errorf("check the Redis store: %w", readFault(fault(ctx, err)))
	}
	return f, nil
}

func describe(ctx context.Context, c *redis.Client) (Node, error) {
	text, err := c.Info(ctx).Result()
	if err != nil {
		return Node{}, err
	}
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[k] = v
		}
	}
	n := Node{Address: c.Options().Addr, Version: info["redis_version"], Role: info["role"], Policy: info["maxmemory_policy"],
		AppendTo: info["aof_enabled"] == "1", Replicas: strings.Count(text, "state=online")}
	if port, err := strconv.Atoi(info["tcp_port"]); err == nil && n.Address == "FailoverClient" {
		n.Address = "port " + strconv.Itoa(port) + " of the Sentinels' master"
	}
	n.Evicts = n.Policy != "noeviction"
	if conf, err := c.ConfigGet(ctx, "appendfsync").Result(); err == nil {
		n.Fsync = conf["appendfsync"]
	}
	return n, nil
}

// probe tries every command that the store uses, on a key of its own. missing
// are the rights that the user lacks; any other failure is an error.
func (s *Store) probe(ctx context.Context) (missing []error, err error) {
	k := s.k.check()
	steps := []step{
		command("GET", k), command("SET", k, "1", "PX", 1000), command("SETNX", k, "1"), command("PEXPIRE", k, 1000), command("PTTL", k), command("DEL", k),
		command("SADD", k, "a"), command("SMEMBERS", k), command("DEL", k),
		command("HSETNX", k, "a", "1"), command("HSET", k, "a", "1"), command("HGET", k, "a"), command("HMGET", k, "a"), command("HGETALL", k), command("HDEL", k, "a"),
		command("ZADD", k, 1, "a"), command("ZRANGEBYSCORE", k, 0, 1), command("ZREMRANGEBYSCORE", k, 0, 1), command("ZREMRANGEBYRANK", k, 0, -1), command("DEL", k),
		command("WAIT", 0, 1), command("PUBLISH", s.k.chanCheck(), ""), command("INFO", "server"), command("TIME"),
		command("EVAL", "return 1", 0), eval(&scriptLook, []string{k, k}),
	}
	err = s.on(ctx, k, func(c *redis.Conn) error {
		out := batch(ctx, c, steps...)
		missing = nil
		var other error // which may only follow from what is missing
		for i := range out {
			if err := out.err(ctx, i); errors.Is(err, ErrDenied) && !redis.IsAuthError(err) {
				missing = append(missing, err)
			} else if err != nil && other == nil {
				other = readFault(err)
			}
		}
		if missing != nil {
			return nil
		}
		return other
	})
	if err != nil {
		return nil, err
	}
	if err := s.probeChannels(ctx); redis.IsPermissionError(err) {
		missing = append(missing, fault(ctx, err))
	} else if err != nil {
		return nil, readFault(fault(ctx, err))
	}
	return missing, nil
}

// probeChannels subscribes to each channel, once.
func (s *Store) probeChannels(ctx context.Context) error {
	var ps *redis.PubSub
	if s.d.cluster != nil {
		ps = s.d.cluster.Subscribe(ctx)
	} else {
		ps = s.d.alone.Subscribe(ctx)
	}
	defer func() { _ = ps.Close() }() // it may be closed already
	defer context.AfterFunc(ctx, func() { _ = ps.Close() })()
	channels := []string{s.k.chanRecords(), s.k.chanRegistry(), s.k.chanReleased()}
	if err := ps.Subscribe(ctx, channels...); err != nil {
		return err
	}
	for range channels {
		if _, err := ps.ReceiveTimeout(ctx, s.d.read); err != nil {
			return errors.Join(ctx.Err(), err)
		}
	}
	return nil
}
