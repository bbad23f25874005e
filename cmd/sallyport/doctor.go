package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

// maxSkew is how far the server's clock may be from this one.
const maxSkew = 5 * time.Second

type doctorCmd struct {
	Output string `short:"o" enum:"table,json" default:"table" help:"How to print: table or json."`
	Client bool   `help:"Look from the client's side: whether what this shell has set leads through the proxy. Needs no admin access."`
	clientDoctor
}

// Run prints what it finds here and what the server finds, or what a client finds.
func (c *doctorCmd) Run(ctx context.Context, st *streams) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := c.check(c.Client); err != nil {
		return err
	}
	var findings []admin.Finding
	if c.Client {
		findings = c.findings(ctx, st)
	} else {
		findings = append(st.localFindings(time.Now()), st.serverFindings(ctx)...)
	}
	if err := c.tell(st, findings); err != nil {
		return err
	}
	if slices.ContainsFunc(findings, admin.Finding.Bad) {
		return errTold
	}
	return nil
}

func (c *doctorCmd) tell(st *streams, findings []admin.Finding) error {
	if c.Output == "json" {
		b, err := json.MarshalIndent(findings, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(st.out, string(b))
		return err
	}
	for _, f := range findings {
		name := f.Check
		if f.Org != "" {
			name += " of org " + f.Org
		}
		text := fmt.Sprintf("%-*s  %s: %s\n", len(admin.ResultNotVisible), f.Result, plain(name), plain(f.What))
		if f.Hint != "" {
			text += strings.Repeat(" ", len(admin.ResultNotVisible)) + "  → " + plain(f.Hint) + "\n"
		}
		if _, err := fmt.Fprint(st.out, text); err != nil {
			return err
		}
	}
	return nil
}

// serverFindings are the server's own. Without a server, the controls are named all the same.
func (st *streams) serverFindings(ctx context.Context) []admin.Finding {
	url, explicit, err := st.adminURL()
	if err != nil {
		return append([]admin.Finding{{Check: "server", Result: admin.ResultWrong, What: err.Error(), Hint: "set SALLYPORT_STATE_DIR or SALLYPORT_ADMIN_URL"}}, admin.Controls(nil)...)
	}
	away := func(f admin.Finding) []admin.Finding { return append([]admin.Finding{f}, admin.Controls(nil)...) }
	if path, isSocket := strings.CutPrefix(url, "unix:"); isSocket && !explicit {
		if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
			return away(admin.Finding{Check: "server", Result: admin.ResultNotVisible, What: "no server has its admin socket at " + path,
				Hint: "start sallyport serve, or say where it is with SALLYPORT_ADMIN_URL"})
		}
	}
	server, err := st.server()
	if err != nil {
		return away(admin.Finding{Check: "server", Result: admin.ResultWrong, What: err.Error(), Hint: "mend SALLYPORT_ADMIN_URL"})
	}
	asked := time.Now()
	findings, clock, err := server.Doctor(ctx)
	if err != nil {
		return away(admin.Finding{Check: "server", Result: admin.ResultWrong, What: err.Error(), Hint: "its log says more"})
	}
	middle := asked.Add(time.Since(asked) / 2)
	return append([]admin.Finding{{Check: "server", Result: admin.ResultOK, What: "it answers at " + url}, clockFinding(clock.Sub(middle))}, findings...)
}

func clockFinding(skew time.Duration) admin.Finding {
	f := admin.Finding{Check: "clock", Result: admin.ResultOK, What: fmt.Sprintf("the server's clock and this one differ by %v", skew.Abs().Round(time.Millisecond))}
	if skew.Abs() > maxSkew {
		f.Result, f.Hint = admin.ResultWrong, "synchronise both clocks: tokens and certificates are judged by them"
	}
	return f
}
