package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

type egressWatchCmd struct {
	Orgs   []string      `arg:"" optional:"" name:"org" help:"These orgs only."`
	Since  time.Duration `default:"24h" help:"How far back to look, at most 4320h: Salesforce keeps six months."`
	Follow bool          `help:"Go on looking, until interrupted."`
	Every  time.Duration `default:"10m" help:"How often --follow asks, at least 1m: each time is one API call an org."`
	Output string        `short:"o" enum:"table,json" default:"table" help:"How to print: table of the strangers, or json, all that was recorded, one org a line."`
}

// Validate implements kong's check.
func (c *egressWatchCmd) Validate() error {
	if c.Since <= 0 || c.Since > 4320*time.Hour {
		return errors.New("--since must be more than 0 and at most 4320h")
	}
	if c.Every < time.Minute {
		return errors.New("--every must be at least 1m")
	}
	return nil
}

// watching is one run of the command.
type watching struct {
	*egressWatchCmd
	st     *streams
	server *admin.Client
	orgs   []string
	told   map[string]bool // strangers, by org and id
	logins int
	bad    bool // an org couldn't be asked
	head   bool // is printed
}

// Run prints each stranger once.
func (c *egressWatchCmd) Run(ctx context.Context, st *streams) error {
	w := watching{egressWatchCmd: c, st: st, told: map[string]bool{}}
	var err error
	if w.server, err = st.server(); err != nil {
		return err
	}
	if w.orgs, err = w.chooseOrgs(ctx); err != nil {
		return err
	}
	if c.Follow {
		var stop func()
		ctx, stop = signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		defer stop()
	}
	if err := w.look(ctx, c.Since); err != nil {
		return err
	}
	if c.Follow {
		err = w.follow(ctx)
	} else if c.Output == "table" && len(w.told) == 0 && !w.bad {
		_, err = fmt.Fprintf(st.out, "no stranger among %d logins of %d orgs in the last %v\n", w.logins, len(w.orgs), c.Since)
	}
	if err == nil && (len(w.told) > 0 || w.bad) {
		return errTold
	}
	return err
}

// chooseOrgs are the named orgs, or all that have a grant and are enabled.
func (w *watching) chooseOrgs(ctx context.Context) (names []string, err error) {
	all, err := w.server.Orgs(ctx)
	if err != nil {
		return nil, err
	}
	some, err := chosen(all, w.Orgs, func(o admin.Org) string { return o.Name })
	for _, o := range some {
		if len(w.Orgs) > 0 || o.Grant != nil && !o.Disabled {
			names = append(names, o.Name)
		}
	}
	if err == nil && len(names) == 0 {
		err = errors.New("there is no org to look at; sallyport get orgs lists them")
	}
	return names, err
}

func (w *watching) follow(ctx context.Context) error {
	ticker := time.NewTicker(w.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		// Twice the time, and more: a row may come late, and each is told once.
		if err := w.look(ctx, 2*w.Every+10*time.Minute); err != nil {
			return err
		}
	}
}

// look asks about each org. What can't be asked is told, and the others go on.
func (w *watching) look(ctx context.Context, since time.Duration) error {
	for _, org := range w.orgs {
		select {
		case <-ctx.Done(): // the user ends it
			return nil
		default:
		}
		rep, err := w.server.Logins(ctx, org, since)
		if err != nil && ctx.Err() == nil {
			w.bad = true
			if _, err := fmt.Fprintf(w.st.err, "sallyport: org %s: %s\n", org, plain(err.Error())); err != nil {
				return err
			}
		}
		if err != nil {
			continue
		}
		w.logins += len(rep.Logins)
		if rep.Truncated {
			if _, err := fmt.Fprintf(w.st.err, "sallyport: org %s: only the newest %d logins were looked at: take a shorter --since\n", org, len(rep.Logins)); err != nil {
				return err
			}
		}
		if err := w.tell(rep); err != nil {
			return err
		}
	}
	return nil
}

// tell prints the strangers that weren't told yet.
func (w *watching) tell(rep admin.LoginReport) error {
	var rows [][]string
	for _, l := range rep.Logins {
		if !l.Stranger || w.told[rep.Org+" "+l.ID] {
			continue
		}
		w.told[rep.Org+" "+l.ID] = true
		if !w.head {
			w.head = true
			rows = append(rows, []string{"TIME", "ORG", "STRANGER", "TYPE", "SUBTYPE", "APPLICATION", "STATUS"})
		}
		rows = append(rows, []string{l.Time.UTC().Format(time.RFC3339), rep.Org, dash(l.SourceIP), dash(l.Type), dash(l.SubType), dash(l.Application), dash(l.Status)})
	}
	if w.Output != "json" {
		return table(w.st.out, rows)
	}
	b, err := json.Marshal(rep)
	if err == nil {
		_, err = fmt.Fprintln(w.st.out, string(b))
	}
	return err
}
