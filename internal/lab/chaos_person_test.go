package lab_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/sfsim"
	"github.com/sallyport/sallyport/tokens/journal"
	"github.com/sallyport/sallyport/tokens/salesforce"
)

// loss is a grant that a person had to authorise again.
type loss struct {
	org, reason string
	avoidable   bool
	why         string
}

// person authorises again what was lost, until stopped. Whoever holds an answer
// must have had the time to say so before.
func (x *chaos) person() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // ends with stop
		defer close(done)
		since := map[string]time.Time{}
		fresh := map[string]sfsim.Grant{} // authorised at Salesforce, and not yet enrolled
		for again := time.NewTicker(250 * time.Millisecond); ; {
			select {
			case <-again.C:
			case <-ctx.Done():
				again.Stop()
				return
			}
			for _, org := range chaosOrgs {
				if reason, lost := x.everyoneSays(org); !lost {
					delete(since, org)
				} else if since[org].IsZero() {
					since[org] = time.Now()
				} else if time.Since(since[org]) > 2*time.Second {
					x.authorise(ctx, org, reason, fresh)
				}
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// everyoneSays reports whether all replicas run and say that org's grant needs a
// person, and why.
func (x *chaos) everyoneSays(org string) (reason string, lost bool) {
	now := time.Now()
	for i := range x.replicas {
		if x.down[i].meet(now, now.Add(time.Millisecond)) {
			return "", false
		}
		g, ok := x.state(i, org)
		if !ok || g.State != "reauth_required" {
			return "", false
		}
		reason = g.Reason
	}
	return reason, true
}

func (x *chaos) authorise(ctx context.Context, org, reason string, fresh map[string]sfsim.Grant) {
	g, ok := fresh[org]
	if !ok {
		l := x.explain(org, reason)
		x.t.Logf("%s a person authorises %s again: %s, %s", time.Now().Format("15:04:05.000"), org, reason, l.why)
		var err error
		if g, err = x.sim().Authorize(lab.ClientID, lab.Host(org), ""); err != nil {
			x.t.Error(err)
			return
		}
		fresh[org] = g
		x.mu.Lock()
		x.lost = append(x.lost, l)
		x.grants[org] = g.ID
		x.mu.Unlock()
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	status, _, err := x.replicas[g.ID%chaosReplicas].AdminCall(ctx, http.MethodPut, "/v1/orgs/"+org+"/grant", []byte(`{"refreshToken":"`+g.RefreshToken+`"}`))
	if err == nil && status < 300 {
		delete(fresh, org)
	}
}

// explain says whether the loss of org's grant could have been avoided: whether
// the last answer is in some journal, or reached a process that nobody harmed.
func (x *chaos) explain(org, reason string) loss {
	x.mu.Lock()
	id := x.grants[org]
	x.mu.Unlock()
	l := loss{org: org, reason: reason, avoidable: true}
	if reason != "lost" {
		l.why = "it ended as " + reason + ", which nothing that was done to it explains"
		return l
	}
	var last sfsim.TokenRequest
	for _, r := range x.sim().Ledger().Tokens {
		if r.Spent && r.Presented.Grant == id {
			last = r
		}
	}
	if last.Seq == 0 {
		l.why = "its token was never spent"
		return l
	}
	for i, r := range x.replicas {
		answers, err := x.answers(r.StateDir())
		if err != nil {
			x.t.Errorf("the journal of replica %d: %v", i, err)
		}
		if answers[last.Issued.Fingerprint] {
			l.why = fmt.Sprintf("its answer is in the journal of replica %d", i)
			return l
		}
	}
	harmed := false
	for i := range x.replicas {
		if netip.MustParseAddr(source(i)) == last.Source.Unmap() {
			harmed = x.down[i].meet(last.Time, last.Time.Add(1500*time.Millisecond))
		}
	}
	switch {
	case last.Fault != "" && !last.Delivered:
		l.avoidable, l.why = false, "Salesforce's answer went astray: "+last.Fault
	case harmed:
		l.avoidable, l.why = false, "its process was killed or suspended before the answer's fsync"
	default:
		l.why = fmt.Sprintf("the answer of request %d from %s (delivered: %v) came to a process that nobody harmed", last.Seq, last.Source, last.Delivered)
	}
	return l
}

// answers are the fingerprints of the refresh tokens in the answers that the
// journal of a state directory holds, read from a copy.
func (x *chaos) answers(state string) (map[string]bool, error) {
	dir, err := os.MkdirTemp(x.t.TempDir(), "")
	if err != nil {
		return nil, err
	}
	dir = filepath.Join(dir, "journal")
	for range 3 { // a file may be replaced meanwhile
		if err = os.CopyFS(dir, os.DirFS(filepath.Join(state, "journal"))); err == nil {
			break
		}
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	j, err := journal.Open(journal.Options{Dir: dir, Sealer: x.keys})
	if err != nil {
		return nil, err
	}
	defer j.Close()
	found := map[string]bool{}
	for e, err := range j.Entries() {
		if err != nil {
			return nil, err
		}
		if issue, err := salesforce.Parse(e.Answer); err == nil {
			found[sfsim.Fingerprint(issue.Refresh.Reveal())] = true
		}
	}
	return found, nil
}
