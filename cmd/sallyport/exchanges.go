package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

// followEvery is how often --follow asks.
const followEvery = 2 * time.Second

type exchangesCmd struct {
	Org    string `placeholder:"ORG" help:"Of this org only."`
	Follow bool   `help:"Go on printing what comes, until interrupted."`
	Limit  int    `default:"100" help:"How many at most, the newest, from 1 to 1000."`
	Output string `short:"o" enum:"table,json" default:"table" help:"How to print: table, or json, one object a line."`
}

// Run prints the history, oldest first.
func (c *exchangesCmd) Run(ctx context.Context, st *streams) error {
	server, err := st.server()
	if err != nil {
		return err
	}
	found, next, err := server.Exchanges(ctx, c.Org, time.Time{}, c.Limit)
	if err != nil {
		return err
	}
	if err := c.tell(st, found, true); err != nil || !c.Follow {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if found, next, err = server.Exchanges(ctx, c.Org, next, c.Limit); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if err := c.tell(st, found, false); err != nil {
			return err
		}
	}
}

func (c *exchangesCmd) tell(st *streams, found []admin.Exchange, first bool) error {
	if c.Output == "json" {
		for _, e := range found {
			b, err := json.Marshal(e)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintln(st.out, string(b)); err != nil {
				return err
			}
		}
		return nil
	}
	var rows [][]string
	if first {
		rows = append(rows, []string{"TIME", "ORG", "GENERATION", "REASON", "OUTCOME", "RACE", "WAITERS", "LOCK WAIT", "DURATION", "REPLICA", "TRACE"})
	}
	for _, e := range found {
		rows = append(rows, []string{e.Time.UTC().Format(time.RFC3339), e.Org, strconv.FormatInt(e.Generation, 10), e.Reason, e.Outcome, e.Race,
			strconv.Itoa(e.Waiters), e.LockWait, e.Duration, e.Replica, dash(e.TraceID)})
	}
	return table(st.out, rows)
}
