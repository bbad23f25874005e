package registry

import "github.com/sallyport/sallyport/internal/secret"

// OrgChange is an org as it shall be. Its Key is ignored: the registry gives it. An empty Grant is
// [GrantRefreshToken].
type OrgChange struct {
	Org
	// Seed is a refresh token to enrol where the grant's state allows it; empty when there is none.
	Seed secret.Text
}

// ClientChange is a client as it shall be. Its SecretHashes are ignored. An empty Mode is [ModeEnforce].
type ClientChange struct {
	Client
	// Secret is the client's secret in clear. Empty leaves the secrets as they are. One that is valid already
	// changes nothing, another is added and the newest two stay valid.
	Secret secret.Text
}

// Change is what an apply wants. Apps, orgs and clients in it are created or updated, each as a whole: a field that is
// left out gets its default, except secrets, PreviousName and Key, which stay. What the change lacks stays too, unless
// Prune is set.
type Change struct {
	Apps    []App // An empty ClientSecret keeps the present one.
	Orgs    []OrgChange
	Clients []ClientChange
	// Prune disables what the change lacks. Nothing is destroyed, no grant is touched.
	Prune bool
	// DryRun validates and computes the [Diff], and changes nothing.
	DryRun bool
	// Rehome names orgs with a live grant whose app, client id or login host may change.
	Rehome []string
	// Source names the file that the change was read from, for faults; empty when it was none.
	Source string
	// Lines tells where in Source a path stands, as "orgs[0].loginUrl".
	Lines map[string]int
}

// Actions of a [DiffItem].
const (
	ActionCreated   = "created"
	ActionUpdated   = "updated"
	ActionUnchanged = "unchanged"
	ActionDisabled  = "disabled" // By pruning.
	ActionRenamed   = "renamed"  // Fields tells what else changed.
)

// Kinds of a [DiffItem].
const (
	KindApp    = "app"
	KindOrg    = "org"
	KindClient = "client"
)

// DiffItem is what became of one resource. It holds no value of any field, so no secret either.
type DiffItem struct {
	Kind   string   `json:"kind"`
	Name   string   `json:"name"`
	Action string   `json:"action"`
	Fields []string `json:"fields,omitempty"` // Names as in the resources file, sorted.
}

// Seed is a refresh token that came with a change, for the caller to enrol where the grant's state allows it.
type Seed struct {
	Org   string
	Key   string
	Token secret.Text
}

// Diff is the result of an apply.
type Diff struct {
	Items  []DiffItem `json:"items"`
	DryRun bool       `json:"dryRun,omitempty"`
	// Rehomed are the keys of the orgs whose live grant belongs to another app, client id or login host since this
	// apply.
	Rehomed []string `json:"rehomed,omitempty"`
	// Seeds are those of enabled orgs, changed or not; none in a dry run.
	Seeds []Seed `json:"-"`
}

// Changed reports whether anything was, or in a dry run would be, changed.
func (d Diff) Changed() bool {
	for _, i := range d.Items {
		if i.Action != ActionUnchanged {
			return true
		}
	}
	return false
}
