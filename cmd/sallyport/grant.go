package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

type grantCmd struct {
	Authorize grantAuthorizeCmd `cmd:"" help:"Authorise an org in a browser: prints the URL, takes the address that the browser is sent back to."`
	Import    grantImportCmd    `cmd:"" help:"Enrol a refresh token, read from stdin or a file."`
	Show      grantShowCmd      `cmd:"" help:"Show a grant's state, generation and times."`
	Refresh   grantRefreshCmd   `cmd:"" help:"Exchange the grant now."`
	Settle    grantSettleCmd    `cmd:"" help:"Settle a doubt now, by asking Salesforce."`
	Confirm   grantConfirmCmd   `cmd:"" help:"Say that a quarantined copy is the truth. Salesforce is asked first."`
	Revoke    grantRevokeCmd    `cmd:"" help:"Revoke the grant at Salesforce."`
	Forget    grantForgetCmd    `cmd:"" help:"Destroy what is kept of the grant, here only."`
}

// orgArg is the org that a command is about.
type orgArg struct {
	Org string `arg:"" help:"The org's name."`
}

type grantShowCmd struct {
	orgArg
	output
}

// Run prints what is known of the grant.
func (c *grantShowCmd) Run(ctx context.Context, st *streams) error {
	server, err := st.server()
	if err != nil {
		return err
	}
	o, err := server.Org(ctx, c.Org)
	if err != nil {
		return err
	}
	return c.print(st.out, o, grantRows(o))
}

func grantRows(o admin.Org) [][]string {
	rows := [][]string{{"org", o.Name}, {"app", o.App}, {"kind", o.GrantKind}}
	if o.Disabled {
		rows = append(rows, []string{"disabled", "yes"})
	}
	g := o.Grant
	if g == nil {
		return append(rows, []string{"state", "no grant is held: sallyport grant authorize " + o.Name})
	}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	add("state", g.State)
	add("reason", g.Reason)
	add("detail", g.Detail)
	add("epoch", strconv.FormatInt(g.Epoch, 10))
	add("generation", strconv.FormatInt(g.Generation, 10))
	add("callers are served", yesNo(g.Live))
	add("verified", yesNo(g.Verified))
	add("rotation", g.Rotation)
	add("enrolled", moment(g.EnrolledAt))
	add("last exchange", moment(g.LastExchangeAt))
	add("token issued", moment(g.IssuedAt))
	add("token until", moment(g.ExpiresAt))
	add("heartbeat due", moment(g.HeartbeatDueAt))
	if g.AskAt != nil {
		add("salesforce is asked", moment(g.AskAt))
	}
	if a := g.Attempt; a != nil {
		add("attempt", fmt.Sprintf("%s by replica %s since %s (%s)", a.ID, a.Replica, a.StartedAt.UTC().Format(time.RFC3339), a.Reason))
	}
	add("egress address", g.EgressAddress)
	add("instance URL", g.Instance)
	if g.Orphans > 0 {
		add("older tokens kept", strconv.Itoa(g.Orphans))
	}
	return rows
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

type grantRefreshCmd struct {
	orgArg
	Wait time.Duration `default:"30s" help:"How long to wait for the exchange, at most 4m."`
}

// Run exchanges the grant, and says so when that takes longer than the wait.
func (c *grantRefreshCmd) Run(ctx context.Context, st *streams) error {
	server, err := st.server()
	if err != nil {
		return err
	}
	e, done, err := server.Refresh(ctx, c.Org, c.Wait)
	if err != nil {
		return err
	}
	if !done {
		_, err = fmt.Fprintf(st.out, "the exchange of org %s goes on: see sallyport grant show %s\n", c.Org, c.Org)
		return err
	}
	how := plain(e.Outcome)
	if e.Winner != "" && e.Winner != e.Replica {
		how = "exchanged by replica " + plain(e.Winner)
	}
	_, err = fmt.Fprintf(st.out, "org %s: %s, generation %d, in %s\n", c.Org, how, e.Generation, e.Duration)
	return err
}

type grantSettleCmd struct{ orgArg }

// Run asks Salesforce about the doubt.
func (c *grantSettleCmd) Run(ctx context.Context, st *streams) error {
	return c.do(st, func(s *admin.Client) (admin.Org, error) { return s.Settle(ctx, c.Org) })
}

type grantConfirmCmd struct {
	orgArg
	Unverified bool `help:"Let your word count where Salesforce gives no answer: only if this token was used nowhere else."`
}

// Run confirms the grant.
func (c *grantConfirmCmd) Run(ctx context.Context, st *streams) error {
	return c.do(st, func(s *admin.Client) (admin.Org, error) { return s.Confirm(ctx, c.Org, c.Unverified) })
}

// sure is asked before what can't be undone.
type sure struct {
	Yes bool `help:"Don't ask."`
}

type grantRevokeCmd struct {
	orgArg
	sure
}

// Run revokes the grant at Salesforce.
func (c *grantRevokeCmd) Run(ctx context.Context, st *streams) error {
	if err := c.ask(st, "Revoke the grant of org "+c.Org+" at Salesforce? A person must then authorise it again."); err != nil {
		return err
	}
	return c.do(st, func(s *admin.Client) (admin.Org, error) { return s.Revoke(ctx, c.Org) })
}

type grantForgetCmd struct {
	orgArg
	sure
}

// Run destroys what is kept of the grant.
func (c *grantForgetCmd) Run(ctx context.Context, st *streams) error {
	if err := c.ask(st, "Destroy all that is kept of the grant of org "+c.Org+"? Salesforce is not told."); err != nil {
		return err
	}
	return c.do(st, func(s *admin.Client) (admin.Org, error) { return s.Forget(ctx, c.Org) })
}

// do runs f and prints the state that the org is in then.
func (a orgArg) do(st *streams, f func(*admin.Client) (admin.Org, error)) error {
	server, err := st.server()
	if err != nil {
		return err
	}
	o, err := f(server)
	if err != nil {
		return err
	}
	state := "no grant is held"
	if o.Grant != nil {
		state = o.Grant.State
		if o.Grant.Reason != "" {
			state += " (" + o.Grant.Reason + ")"
		}
	}
	_, err = fmt.Fprintf(st.out, "org %s: %s\n", o.Name, plain(state))
	return err
}
