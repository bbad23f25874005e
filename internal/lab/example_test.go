package lab_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
)

// A lab is a real sallyport in front of a simulated Salesforce. A client of it
// knows its proxy and the proxy's CA, and no Salesforce secret; the simulator's
// ledger says what really arrived.
func ExampleNew() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "lab")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	l, err := lab.New(lab.Options{Binary: "bin/sallyport", Dir: dir, Orgs: []string{"acme"}, Session: 2 * time.Hour})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close(ctx)
	if err := l.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	seen, err := l.Call(ctx, l.NewClient(), "acme")
	fmt.Println(seen.Status, l.Sim.Ledger().Replays, err)
}
