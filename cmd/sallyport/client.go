package main

import (
	"context"
	"fmt"
)

type clientCmd struct {
	Secret clientSecretCmd `cmd:"" help:"Make a client's secret and show it, once. The newest two are valid."`
}

type clientSecretCmd struct {
	Name string `arg:"" help:"The client."`
}

// Run prints the secret alone on stdout.
func (c *clientSecretCmd) Run(ctx context.Context, st *streams) error {
	server, err := st.server()
	if err != nil {
		return err
	}
	s, err := server.AddClientSecret(ctx, c.Name)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(st.out, s.Reveal()); err != nil {
		return fmt.Errorf("the secret was made and could not be printed; make another one: %w", err)
	}
	fmt.Fprintf(st.err, "This secret of client %s is not shown again. The one before it stays valid until the next is made.\n", c.Name)
	return nil
}
