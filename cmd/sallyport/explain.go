package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

type explainCmd struct {
	Org  string `arg:"" help:"The org's name."`
	Last int    `default:"5" help:"How many exchanges, the newest, from 1 to 200."`
}

// Run tells the story of an org's last exchanges, oldest first, and where its
// grant stands now.
func (c *explainCmd) Run(ctx context.Context, st *streams) error {
	if c.Last < 1 || c.Last > 200 {
		return &usageError{"--last is a number from 1 to 200"}
	}
	server, err := st.server()
	if err != nil {
		return err
	}
	org, err := server.Org(ctx, c.Org)
	if err != nil {
		return err
	}
	lines, _, err := server.Exchanges(ctx, c.Org, time.Time{}, 1000)
	if err != nil {
		return err
	}
	races := racesOf(lines)
	for _, r := range races[max(len(races)-c.Last, 0):] {
		if _, err := io.WriteString(st.out, r.story()+"\n"); err != nil {
			return err
		}
	}
	_, err = io.WriteString(st.out, standing(org))
	return err
}

// race is one exchange, or one settling of a doubt, and those who lost it.
type race struct {
	admin.Exchange
	lost []admin.Exchange
}

// racesOf groups lines of the history, oldest first: who lost a race adopted
// what the attempt brought, and names it.
func racesOf(lines []admin.Exchange) []race {
	var races []race
	at := map[string]int{}
	for _, e := range lines {
		if e.Winner == "" {
			at[e.Attempt] = len(races)
			races = append(races, race{Exchange: e})
		}
	}
	for _, e := range lines {
		if e.Winner == "" {
			continue
		}
		if i, ok := at[e.Attempt]; ok {
			races[i].lost = append(races[i].lost, e)
		}
	}
	return races
}

// story is what happened, in a few sentences.
func (r race) story() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s\n", r.Time.UTC().Format("2006-01-02 15:04:05.000"), r.headline())
	say := func(label, format string, a ...any) { fmt.Fprintf(&b, "  %-12s%s\n", label, fmt.Sprintf(format, a...)) }
	say("why", "%s", r.why())
	say("lock", "replica %s had it after %s; %s waited there", r.Replica, r.LockWait, callers(r.Waiters))
	for _, l := range r.lost {
		say("lost to it", "replica %s, after %s at the lock; %s waited there, and got this exchange's token%s", l.Replica, l.LockWait, callers(l.Waiters), traceOf(l.TraceID))
	}
	switch r.Answer {
	case "":
		say("salesforce", "no refresh token was sent")
	case "none":
		say("salesforce", "no answer came within %s; sent from %s", r.AnswerTime, dash(r.Address))
	case "token":
		say("salesforce", "a token after %s; sent from %s", r.AnswerTime, dash(r.Address))
	default:
		say("salesforce", "an answer without a token after %s; sent from %s", r.AnswerTime, dash(r.Address))
	}
	if r.Detail != "" {
		say("detail", "%s", r.Detail)
	}
	if r.Answer == "token" {
		near := ""
		if r.LeaseMargin < 0.3 {
			near = ": a near miss"
		}
		say("commit", "%.0f %% of the attempt's time was left%s", r.LeaseMargin*100, near)
	}
	say("took", "%s in all; attempt %s%s", r.Duration, dash(r.Attempt), traceOf(r.TraceID))
	return b.String()
}

func (r race) headline() string {
	switch r.Outcome {
	case "issued":
		return fmt.Sprintf("exchanged: generation %d → %d", r.Generation-1, r.Generation)
	case "not_sent":
		return fmt.Sprintf("not exchanged: nothing was sent, generation %d stands", r.Generation)
	case "rate_limited":
		return fmt.Sprintf("not exchanged: Salesforce limits the rate, generation %d stands", r.Generation)
	case "dead":
		return "Salesforce called the refresh token dead: a person must authorise again"
	case "live":
		return fmt.Sprintf("doubt settled: Salesforce says that the refresh token of generation %d is live", r.Generation)
	case "lost":
		return fmt.Sprintf("doubt settled: the refresh token of generation %d is spent and its successor is gone: a person must authorise again", r.Generation)
	case "silent":
		return "asked about, without an answer that can be believed: asked again later"
	case "undecided":
		return "given up: Salesforce stayed silent for long and no access token lives: a person must authorise again"
	case "orphaned":
		return "exchanged for an authorisation that was replaced meanwhile: its token is kept aside"
	}
	return fmt.Sprintf("in doubt (%s): the token of generation %d may be spent, and is not sent again until Salesforce says that it is live", r.Outcome, r.Generation)
}

func (r race) why() string {
	why := map[string]string{
		"first": "no access token was held", "expiry": "the access token was near its end", "rejected": "Salesforce refused the access token",
		"heartbeat": "the grant was idle for long", "manual": "a person asked", "settle": "a doubt was to be settled",
	}[r.Reason]
	if why == "" {
		why = r.Reason
	}
	if r.Origin != "" {
		return why + "; asked for by the call of trace " + r.Origin
	}
	return why
}

func callers(n int) string {
	if n == 1 {
		return "1 caller"
	}
	return fmt.Sprintf("%d callers", n)
}

func traceOf(id string) string {
	if id == "" {
		return ""
	}
	return "; trace " + id
}

// standing is where the grant stands now, and what to do if anything.
func standing(o admin.Org) string {
	g := o.Grant
	if g == nil {
		return "now: no grant is held; run sallyport grant authorize " + o.Name + "\n"
	}
	s := "now: " + g.State
	if g.Reason != "" {
		s += " (" + g.Reason + ")"
	}
	s += fmt.Sprintf(", generation %d", g.Generation)
	if g.Live {
		s += ", callers are served"
		if g.ExpiresAt != nil {
			s += " until about " + moment(g.ExpiresAt)
		}
	} else {
		s += ", no access token lives"
	}
	switch g.State {
	case "in_doubt":
		if g.AskAt != nil {
			s += "; Salesforce is asked at " + moment(g.AskAt)
		}
		s += "; sallyport grant settle " + o.Name + " asks at once"
	case "reauth_required":
		s += "; run sallyport grant authorize " + o.Name
	case "quarantined":
		s += "; make sure that no other copy is in use, then run sallyport grant confirm " + o.Name
	}
	return s + "\n"
}
