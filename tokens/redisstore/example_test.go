package redisstore_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/tokens/redisstore"
)

// A server that isn't there yet is told apart from a wrong configuration.
func ExampleOpen() {
	ctx := context.Background()
	s, err := redisstore.Open(ctx, redisstore.Options{URL: "redis://127.0.0.1:1", Replica: "one"})
	switch {
	case errors.Is(err, redisstore.ErrUnavailable):
		fmt.Println("wait, and try again")
	case err != nil:
		fmt.Println("a person must mend it:", err)
	default:
		_ = s.Close()
	}
	// Output:
	// wait, and try again
}
