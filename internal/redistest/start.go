package redistest

import "testing"

// Start runs a server, in a directory of t where o has none, until t ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := Run(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { report(t, s.Kill()) })
	return s
}

// StartSentinel runs a master, replicas and three Sentinels until t ends.
func StartSentinel(t testing.TB, o Options, replicas int) *Sentinel {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	c, err := RunSentinel(o, replicas)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { report(t, c.Close()) })
	return c
}

// StartCluster runs a Cluster of three masters until t ends.
func StartCluster(t testing.TB, o Options) *Cluster {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	c, err := RunCluster(o, 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { report(t, c.Close()) })
	return c
}

// StartCA makes a CA.
func StartCA(t testing.TB) *CA {
	t.Helper()
	c, err := NewCA()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// StartProxy runs a proxy in front of target until t ends.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	p, err := NewProxy(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func report(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
