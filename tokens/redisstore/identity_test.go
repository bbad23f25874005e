package redisstore_test

import (
	"testing"

	"github.com/sallyport/sallyport/internal/redistest"
	"github.com/sallyport/sallyport/tokens/redisstore"
)

// Whichever node of a Cluster is replaced, the store is another; one that is
// down makes it neither away nor, once it is back as it was, look the same.
func TestEveryNodeOfAClusterCounts(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.Options{})
	s := open(t, redisstore.Options{URL: c.URL()})
	seen := map[string]bool{}
	identity := func() string {
		t.Helper()
		id, err := s.Identity(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return string(id)
	}
	seen[identity()] = true
	if !seen[identity()] {
		t.Fatal("the identity of an untouched Cluster changes")
	}
	for _, node := range c.Servers {
		if err := node.Kill(); err != nil {
			t.Fatal(err)
		}
		down := identity()
		if err := node.Restart(); err != nil {
			t.Fatal(err)
		}
		up := identity()
		if seen[down] || seen[up] || down == up {
			t.Errorf("%s was killed and restarted, and the store goes on as the same", node.Addr())
		}
		seen[down], seen[up] = true, true
	}
}
