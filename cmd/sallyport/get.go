package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/internal/admin"
)

type getCmd struct {
	Kind string `arg:"" enum:"apps,orgs,clients" help:"apps, orgs or clients."`
	Name string `arg:"" optional:"" help:"Show this one only."`
	output
}

// Run prints a list, or one of it.
func (c *getCmd) Run(ctx context.Context, st *streams) error {
	server, err := st.server()
	if err != nil {
		return err
	}
	switch c.Kind {
	case "apps":
		all, err := server.Apps(ctx)
		return show(st, c, all, err, func(a admin.App) string { return a.Name }, []string{"NAME", "CLIENT ID", "SECRET", "STATE"},
			func(a admin.App) []string {
				return []string{a.Name, a.ClientID, held(a.HasClientSecret), enabled(a.Disabled)}
			})
	case "clients":
		all, err := server.Clients(ctx)
		return show(st, c, all, err, func(p admin.ProxyClient) string { return p.Name }, []string{"NAME", "ORGS", "SECRETS", "METHODS", "MODE", "STATE"},
			func(p admin.ProxyClient) []string {
				return []string{p.Name, dash(strings.Join(p.Orgs, ",")), strconv.Itoa(p.Secrets), dash(strings.Join(p.Methods, ",")), p.Mode, enabled(p.Disabled)}
			})
	}
	all, err := server.Orgs(ctx)
	return show(st, c, all, err, func(o admin.Org) string { return o.Name }, []string{"NAME", "APP", "GRANT", "GENERATION", "TOKEN UNTIL", "HEARTBEAT DUE", "HOSTS"}, orgRow)
}

// show prints all, or the one that c names.
func show[T any](st *streams, c *getCmd, all []T, err error, name func(T) string, head []string, row func(T) []string) error {
	if err != nil {
		return err
	}
	rows := [][]string{head}
	for _, v := range all {
		if c.Name == "" {
			rows = append(rows, row(v))
		} else if name(v) == c.Name {
			return c.print(st.out, v, [][]string{head, row(v)})
		}
	}
	if c.Name != "" {
		return fmt.Errorf("there is no %s %q; sallyport get %s lists them", strings.TrimSuffix(c.Kind, "s"), c.Name, c.Kind)
	}
	if all == nil {
		all = []T{}
	}
	return c.print(st.out, all, rows)
}

func orgRow(o admin.Org) []string {
	row := []string{o.Name, o.App, "none", "-", "-", "-", strings.Join(o.Hosts, ",")}
	if g := o.Grant; g != nil {
		row[2], row[3], row[4], row[5] = g.State, strconv.FormatInt(g.Generation, 10), moment(g.ExpiresAt), moment(g.HeartbeatDueAt)
	}
	if o.Disabled {
		row[2] += " (disabled)"
	}
	return row
}

func held(yes bool) string {
	if yes {
		return "held"
	}
	return "none"
}

func enabled(disabled bool) string {
	if disabled {
		return "disabled"
	}
	return "enabled"
}
