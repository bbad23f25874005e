package admin

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/egressplan"
	"github.com/sallyport/sallyport/tokens"
)

// AnySource is the name of the source address where the kernel chooses it.
const AnySource = "any"

// EgressSource is a source address and what echoes said of it. An echo proves where one connection to it came from:
// behind a NAT with several addresses it proves that address, not the one that the next connection leaves by.
type EgressSource struct {
	Source   string     `json:"source"`           // or [AnySource]
	Standing string     `json:"standing"`         // "unknown", "verified", "mismatch"
	Public   string     `json:"public,omitempty"` // as the echo saw it
	At       *time.Time `json:"at"`               // of the last answer, null for none
	Echo     string     `json:"echo,omitempty"`   // the host that gave it
	Error    string     `json:"error,omitempty"`  // of the last look
	Orgs     []string   `json:"orgs,omitempty"`   // that leave by it
}

// EgressUse is an address that exchanges of an org left by, from the history that all replicas write.
type EgressUse struct {
	Address  string    `json:"address"`
	Replica  string    `json:"replica"`            // the last that used it
	At       time.Time `json:"at"`                 // the last time
	Accepted bool      `json:"accepted,omitempty"` // Salesforce gave a token there once: its allowlist, if it is enforced, holds the address
}

// EgressOrg is an org and the way out of its calls.
type EgressOrg struct {
	Name     string      `json:"name"`
	App      string      `json:"app"`
	Source   string      `json:"source"` // one of the sources; empty: none that is configured
	Disabled bool        `json:"disabled,omitempty"`
	Used     []EgressUse `json:"used"` // of the last 90 days, the newest first
}

// EgressWays is what a process knows about its own ways out.
type EgressWays struct {
	Replica    string         `json:"replica"`
	Enforce    string         `json:"enforce"`    // SALLYPORT_EGRESS_ENFORCE
	Registered egressplan.Set `json:"registered"` // SALLYPORT_EGRESS_ALLOWED
	Echoes     []string       `json:"echoes"`     // hosts
	Sources    []EgressSource `json:"sources"`
}

// EgressReport is the ways out of the process that answers, and who takes them.
type EgressReport struct {
	EgressWays
	Time time.Time   `json:"time"`
	Orgs []EgressOrg `json:"orgs"`
}

// EgressProbe is what a probe of one source address found.
type EgressProbe struct {
	EgressSource
	Seen     []string `json:"seen"`             // every address that the echoes saw in this probe
	Host     string   `json:"host,omitempty"`   // Salesforce's host that was called; empty: none is known
	Status   int      `json:"status,omitempty"` // of its answer
	Call     string   `json:"call,omitempty"`   // why it gave none
	Verified bool     `json:"verified"`         // every address seen is registered, and Salesforce answered where it was called
}

// Login is one login that Salesforce recorded of an org's integration user.
type Login struct {
	ID          string    `json:"id"`
	Time        time.Time `json:"time"`
	SourceIP    string    `json:"sourceIp"` // as Salesforce wrote it
	Status      string    `json:"status"`
	Type        string    `json:"type"`
	SubType     string    `json:"subType"`
	Application string    `json:"application"`
	Stranger    bool      `json:"stranger,omitempty"`
	Why         string    `json:"why,omitempty"` // it is one
}

// LoginReport is what Salesforce recorded of an org, held against the addresses that are known.
type LoginReport struct {
	Org       string         `json:"org"`
	UserID    string         `json:"userId"`
	Since     time.Time      `json:"since"`
	Known     egressplan.Set `json:"known"`  // registered, or seen by an echo
	Logins    []Login        `json:"logins"` // the newest first
	Strangers int            `json:"strangers"`
	Truncated bool           `json:"truncated,omitempty"` // there are older ones in the same time, not looked at
}

// Egress knows by which addresses this process reaches Salesforce. A method whose ctx ends stops.
type Egress interface {
	// Ways tells what is known, without I/O.
	Ways() EgressWays
	// SourceOf names the source address that an org leaves by; false where it can't leave.
	SourceOf(org tokens.OrgID) (string, bool)
	// Probe asks the echoes about every source address now, and calls Salesforce from it without a credential. With an
	// address, which may be a source's own or one that an echo sees, only what has it is answered for.
	Probe(ctx context.Context, address string) ([]EgressProbe, error)
	// Logins asks Salesforce, with the org's own token, what it recorded since a time, and raises the alarm about each
	// stranger that it hasn't told yet.
	Logins(ctx context.Context, org tokens.OrgID, since time.Time) (LoginReport, error)
}

const (
	useHistory   = 90 * 24 * time.Hour  // all that the history holds
	maxLoginTime = 180 * 24 * time.Hour // Salesforce keeps six months
	maxProbed    = 64                   // of an address's text
)

func (s *Server) showEgress(r *http.Request) (reply, error) {
	if s.o.Egress == nil {
		return reply{}, noEgress()
	}
	rep := EgressReport{EgressWays: s.o.Egress.Ways(), Time: time.Now().UTC(), Orgs: []EgressOrg{}}
	for _, o := range s.o.Registry.Snapshot().Orgs() {
		used, err := s.used(r.Context(), tokens.OrgID(o.Key))
		if err != nil {
			return reply{}, err
		}
		v := EgressOrg{Name: o.Name, App: o.App, Disabled: o.Disabled, Used: used}
		if source, ok := s.o.Egress.SourceOf(tokens.OrgID(o.Key)); ok {
			v.Source = source
			if i := slices.IndexFunc(rep.Sources, func(e EgressSource) bool { return e.Source == source }); i >= 0 && !o.Disabled {
				rep.Sources[i].Orgs = append(rep.Sources[i].Orgs, o.Name)
			}
		}
		rep.Orgs = append(rep.Orgs, v)
	}
	return ok(rep), nil
}

// used are the addresses of an org's exchanges.
func (s *Server) used(ctx context.Context, org tokens.OrgID) ([]EgressUse, error) {
	past, err := s.o.History.List(ctx, org, time.Now().Add(-useHistory), maxExchanges)
	if err != nil {
		return nil, err
	}
	out := []EgressUse{}
	for _, e := range slices.Backward(past) {
		if e.Address == "" || e.Answer == "" || e.Answer == tokens.AnswerNone {
			continue // nothing shows that anything left by it
		}
		i := slices.IndexFunc(out, func(u EgressUse) bool { return u.Address == e.Address })
		if i < 0 {
			i, out = len(out), append(out, EgressUse{Address: e.Address, Replica: e.Replica, At: e.Time.UTC()})
		}
		out[i].Accepted = out[i].Accepted || e.Answer == tokens.AnswerToken
	}
	return out, nil
}

func (s *Server) probeEgress(r *http.Request) (reply, error) {
	if s.o.Egress == nil {
		return reply{}, noEgress()
	}
	var in probeRequest
	if err := decode(r, &in, `{"address":"203.0.113.7"}, or empty`); err != nil {
		return reply{}, err
	}
	if len(in.Address) > maxProbed {
		return reply{}, badRequest("address is no address")
	}
	found, err := s.o.Egress.Probe(r.Context(), strings.TrimSpace(in.Address))
	if err != nil {
		return reply{}, err
	}
	return ok(probeReport{found}), nil
}

func (s *Server) listLogins(r *http.Request) (reply, error) {
	if s.o.Egress == nil {
		return reply{}, noEgress()
	}
	o, err := s.org(r)
	if err != nil {
		return reply{}, err
	}
	if o.Disabled {
		return reply{}, &ConflictError{What: "org " + o.Name + " is disabled: its token isn't used"}
	}
	since, err := duration(r, "since", 24*time.Hour, maxLoginTime)
	if err != nil {
		return reply{}, err
	}
	rep, err := s.o.Egress.Logins(r.Context(), tokens.OrgID(o.Key), time.Now().Add(-since))
	if err != nil {
		return reply{}, err
	}
	rep.Org = o.Name
	return ok(rep), nil
}

func noEgress() error {
	return &ProblemError{Status: http.StatusNotFound, Code: codeNotServed, Detail: "this server doesn't tell about its ways out"}
}

type probeRequest struct {
	Address string `json:"address"`
}

type probeReport struct {
	Probes []EgressProbe `json:"probes"`
}
