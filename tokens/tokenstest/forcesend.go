package tokenstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
)

// slow and late are how long [FaultSlow] and [FaultLate] take: the first within
// the contract's exchange timeout, the second beyond it and within a takeover's
// wait.
const (
	slow = 40 * time.Second
	late = 4 * time.Minute
)

// Connect implements [tokens.Exchanger].
func (f *Force) Connect(_ context.Context, org tokens.OrgID) (tokens.Line, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fault := FaultNone
	if len(f.faults) > 0 {
		fault, f.faults = f.faults[0], f.faults[1:]
	}
	if fault == FaultConnect {
		return nil, &tokens.Error{Org: org, Code: tokens.CodeUpstream, Temporary: true, What: "Salesforce can't be reached", Hint: "look at the network"}
	}
	return &forceLine{f, org, fault}, nil
}

type forceLine struct {
	f     *Force
	org   tokens.OrgID
	fault Fault
}

func (*forceLine) Address() string { return "192.0.2.7" }
func (*forceLine) Close() error    { return nil }

// errCut is how a connection ends that brought no answer.
var errCut = errors.New("connection reset by peer")

// Send implements [tokens.Line].
func (l *forceLine) Send(ctx context.Context, c tokens.Credential, guard func() error) (tokens.Answer, bool, error) {
	if err := guard(); err != nil {
		return nil, false, err
	}
	f := l.f
	f.mu.Lock()
	gate := f.gate
	f.mu.Unlock()
	if l.fault == FaultUnwritten {
		return nil, false, errCut
	}
	took := f.sending(c)
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			took(false)
			return nil, true, ctx.Err()
		}
	}
	work := f.Latency
	switch l.fault {
	case FaultSlow:
		work = slow
	case FaultLate:
		work = late
	default:
	}
	came := make(chan tokens.Answer, 1)
	time.AfterFunc(work, func() {
		if l.fault == FaultLostBefore {
			took(false)
			came <- nil
			return
		}
		a := f.answer(l.org, c, l.fault)
		took(l.fault == FaultRate || l.fault == FaultNoRotation)
		came <- a
	})
	select {
	case a := <-came:
		switch l.fault {
		case FaultLostBefore, FaultLostAfter:
			return nil, true, errCut
		case FaultTruncated:
			return a[:len(a)-4], true, errCut
		default:
		}
		return a, true, nil
	case <-ctx.Done():
		return nil, true, ctx.Err()
	}
}

// sending notes that a token leaves, and that it must not have left before
// unless Salesforce called it live since, or refused it unseen. What it returns
// notes that the request is over.
func (f *Force) sending(c tokens.Credential) (over func(unseen bool)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.refresh[c.Secret.Reveal()]
	if !c.SingleUse || t == nil {
		return func(bool) {}
	}
	if t.sent && !t.vouched {
		f.misuse = append(f.misuse, fmt.Sprintf("token %s was sent again at %s, and Salesforce hadn't called it live since", c.Secret.Reveal(), time.Now().UTC().Format("02 15:04:05.000")))
	}
	if t.working > 0 {
		f.misuse = append(f.misuse, fmt.Sprintf("token %s was sent again at %s while an earlier request was under way", c.Secret.Reveal(), time.Now().UTC().Format("02 15:04:05.000")))
	}
	sent, vouched := t.sent, t.vouched
	t.sent, t.vouched = true, false
	t.working++
	return func(unseen bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		t.working--
		t.over = time.Now()
		if unseen {
			t.sent, t.vouched = sent, vouched
		}
	}
}

type forceAnswer struct {
	Access  string `json:"access,omitempty"`
	Refresh string `json:"refresh,omitempty"`
	Class   tokens.Class
	Code    string `json:"code,omitempty"`
	At      int64  `json:"at,omitempty"`
}

func refuse(class tokens.Class, code string) tokens.Answer {
	return encode(forceAnswer{Class: class, Code: code})
}

// answer works on one request.
func (f *Force) answer(org tokens.OrgID, c tokens.Credential, fault Fault) tokens.Answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Requests++
	switch fault {
	case FaultBusy:
		return refuse(tokens.ClassBusy, "invalid_grant")
	case FaultRate:
		return refuse(tokens.ClassRateLimited, "rate_limit_exceeded")
	case FaultDead:
		return refuse(tokens.ClassDead, "invalid_grant")
	case FaultUnclearBefore:
		return refuse(tokens.ClassDoubt, "")
	case FaultClient, FaultAddress:
		if !f.ConfigSpends {
			return refuse(tokens.ClassMisconfigured, "invalid_client")
		}
	default:
	}
	family, refresh := 0, ""
	switch {
	case f.Codes && c.Kind == "authorization_code":
		f.family++
		family = f.family
		refresh = f.mint(org, family)
	case c.SingleUse:
		t := f.refresh[c.Secret.Reveal()]
		if t != nil && fault == FaultExpired {
			f.endFamily(FateExpired, t.family)
		}
		switch {
		case t == nil || t.dead:
			return refuse(tokens.ClassDead, "invalid_grant")
		case t.spent:
			f.Replays++
			if !f.ReplaySpares {
				why := FateReplay
				if t.why == FateForeign {
					why = FateForeign // whoever sent it last can't know
				}
				f.endFamily(why, t.family)
			}
			return refuse(tokens.ClassDead, "invalid_grant")
		case t.working > 1:
			return refuse(tokens.ClassBusy, "invalid_grant")
		}
		family = t.family
		if fault != FaultNoRotation {
			t.spent, t.why, t.at = true, fates[fault], time.Now()
			refresh = f.mint(org, family)
		}
	}
	switch fault {
	case FaultClientSpent, FaultClient, FaultAddress:
		return refuse(tokens.ClassMisconfigured, "invalid_client")
	default:
	}
	if f.EndsOlder {
		for _, t := range f.access {
			if t.org == org && t.family == family {
				t.dead = true
			}
		}
	}
	f.serial++
	access := fmt.Sprintf("00D-%s-%d", org, f.serial)
	f.access[access] = &forceToken{org: org, family: family, until: time.Now().Add(f.Session)}
	switch fault {
	case FaultUnclear:
		return refuse(tokens.ClassDoubt, "")
	case FaultMalformed:
		return tokens.Answer("<html>" + access + " " + refresh)
	default:
	}
	return encode(forceAnswer{Access: access, Refresh: refresh, At: time.Now().UnixMilli()})
}

func encode(a forceAnswer) tokens.Answer {
	b, err := json.Marshal(a)
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	return b
}

// Parse implements [tokens.Exchanger].
func (f *Force) Parse(a tokens.Answer) (tokens.Issue, error) {
	var in forceAnswer
	if err := json.Unmarshal(a, &in); err != nil {
		return tokens.Issue{}, &tokens.Refusal{}
	}
	if in.Access == "" {
		return tokens.Issue{}, &tokens.Refusal{Class: in.Class, Status: 400, Code: in.Code, Description: "as scripted"}
	}
	return tokens.Issue{Access: secret.NewText(in.Access), Refresh: secret.NewText(in.Refresh), InstanceURL: "https://acme.my.salesforce.com",
		OrgID: "00D000000000001EAA", UserID: "005000000000001AAA", IssuedAt: time.UnixMilli(in.At)}, nil
}
