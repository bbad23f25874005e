package admin

import (
	"log/slog"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/registry"
)

// Org is an org and its grant as the API tells of them.
type Org struct {
	Name           string   `json:"name"`
	App            string   `json:"app"`
	Grant          *Grant   `json:"grant"` // null: none is held
	Hosts          []string `json:"hosts"`
	GrantKind      string   `json:"grantKind"`
	LoginURL       string   `json:"loginUrl"`
	SessionTimeout string   `json:"sessionTimeout,omitempty"` // a Go duration
	Disabled       bool     `json:"disabled,omitempty"`
	PreviousName   string   `json:"previousName,omitempty"`
	Key            string   `json:"key"`
}

// Grant is an org's grant. Times that aren't known are null.
type Grant struct {
	Kind           string     `json:"kind"`
	State          string     `json:"state"`
	Reason         string     `json:"reason"`
	Epoch          int64      `json:"epoch"`
	Generation     int64      `json:"generation"`
	IssuedAt       *time.Time `json:"issuedAt"`  // of the access token
	ExpiresAt      *time.Time `json:"expiresAt"` // believed end of the access token
	LastExchangeAt *time.Time `json:"lastExchangeAt"`
	HeartbeatDueAt *time.Time `json:"heartbeatDueAt"`
	Attempt        *Attempt   `json:"attempt"` // open
	EgressAddress  string     `json:"egressAddress"`

	Live       bool       `json:"live"`               // callers are served
	Verified   bool       `json:"verified"`           // by Salesforce or a person, under the store's identity of then
	Truthful   bool       `json:"truthful"`           // introspection has told the truth about it
	Rotation   string     `json:"rotation,omitempty"` // "unknown", "rotates", "does_not_rotate"
	Detail     string     `json:"detail,omitempty"`   // what Salesforce said
	EnrolledAt *time.Time `json:"enrolledAt"`
	AskAt      *time.Time `json:"askAt,omitempty"` // when Salesforce is asked about a doubt
	Instance   string     `json:"instanceUrl,omitempty"`
	Orphans    int        `json:"orphans,omitempty"` // tokens of older epochs that are kept
}

// Attempt is an exchange that is under way or in doubt.
type Attempt struct {
	ID        string    `json:"id"`
	Replica   string    `json:"replica"`
	Reason    string    `json:"reason"`
	StartedAt time.Time `json:"startedAt"`
}

// App is an app without its secret.
type App struct {
	Name            string `json:"name"`
	ClientID        string `json:"clientId"`
	HasClientSecret bool   `json:"hasClientSecret"`
	Disabled        bool   `json:"disabled,omitempty"`
}

// ProxyClient is a client of the proxy without its secrets.
type ProxyClient struct {
	registry.Client
	Secrets int `json:"secrets"` // how many are valid
}

// Exchange is one exchange of the history. Durations are Go durations.
type Exchange struct {
	Time        time.Time `json:"time"`
	Org         string    `json:"org"`
	Epoch       int64     `json:"epoch"`
	Generation  int64     `json:"generation"`
	Attempt     string    `json:"attempt"`
	Reason      string    `json:"reason"`
	Replica     string    `json:"replica"`
	Outcome     string    `json:"outcome"`
	Race        string    `json:"race"`
	Waiters     int       `json:"waiters"`
	LockWait    string    `json:"lockWait"`
	Duration    string    `json:"duration"`
	LeaseMargin float64   `json:"leaseMargin"`
	TraceID     string    `json:"traceId,omitempty"`
	Detail      string    `json:"detail,omitempty"`
	Winner      string    `json:"winner,omitempty"`     // the replica to which the race was lost
	Origin      string    `json:"origin,omitempty"`     // the trace of the call that caused it
	Address     string    `json:"address,omitempty"`    // that it was sent from
	Answer      string    `json:"answer,omitempty"`     // token, refusal or none; empty where nothing was sent
	AnswerTime  string    `json:"answerTime,omitempty"` // how long Salesforce took
}

// Enrolled is what an import or an authorisation came to.
type Enrolled struct {
	Already    bool  `json:"already"` // this very token was held; nothing was changed
	Epoch      int64 `json:"epoch"`
	Generation int64 `json:"generation"`
	Truthful   bool  `json:"truthful"` // introspection called the fresh token live
}

// Authorization is a begun authorisation.
type Authorization struct {
	URL   string `json:"url"` // for a person's browser
	State string `json:"state"`
}

// What became of a grant in an apply.
const (
	SeedUsed   = "seeded" // the resources file's token was enrolled
	SeedKept   = "kept"   // the seed was left alone: the org's own grant is better known
	SeedReady  = "ensured"
	SeedFailed = "failed"
)

// SeedResult is what became of one org's grant in an apply.
type SeedResult struct {
	Org    string `json:"org"`
	Result string `json:"result"`
	Error  string `json:"error,omitempty"`
}

// Applied is the difference that an apply made, or in a dry run would make.
type Applied struct {
	Items   []registry.DiffItem `json:"items"`
	DryRun  bool                `json:"dryRun,omitempty"`
	Rehomed []string            `json:"rehomed,omitempty"` // names of orgs
	Grants  []SeedResult        `json:"grants,omitempty"`
}

func (a Applied) auditAttrs() []slog.Attr {
	var changed []string
	for _, i := range a.Items {
		if i.Action != registry.ActionUnchanged {
			changed = append(changed, i.Action+" "+i.Kind+" "+i.Name)
		}
	}
	for _, g := range a.Grants {
		changed = append(changed, g.Result+" grant "+g.Org)
	}
	return []slog.Attr{slog.Bool("dry_run", a.DryRun), slog.String("changes", strings.Join(changed, ", "))}
}

type orgList struct {
	Orgs []Org `json:"orgs"`
}

type appList struct {
	Apps []App `json:"apps"`
}

type clientList struct {
	Clients []ProxyClient `json:"clients"`
}

type exchangeList struct {
	Exchanges []Exchange `json:"exchanges"`
	// Next is the value of after that asks for what comes later; null where nothing was asked for and nothing found.
	Next *time.Time `json:"next"`
}

type clientSecret struct {
	Secret string `json:"secret"` // in clear, for the only time
}

type doctorReport struct {
	Time     time.Time `json:"time"` // the server's clock
	Findings []Finding `json:"findings"`
}

// at returns t in UTC, nil for the zero time.
func at(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
