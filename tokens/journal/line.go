package journal

import (
	"encoding/json"
	"fmt"

	"github.com/sallyport/sallyport/tokens"
)

// format is the version of the files.
const format = 1

// schema is the newest record that this version understands.
const schema = tokens.Schema

// The kinds of a line.
const (
	lineFile   = "file" // the head of a file
	lineBegin  = "begin"
	lineAnswer = "answer"
	lineSettle = "settle"
)

// line is the payload of a frame. An answer repeats what it needs of its begin,
// so that it is worth something without it.
type line struct {
	Line string `json:"line"`

	Head *head `json:"head,omitempty"`

	Attempt    tokens.AttemptID     `json:"attempt,omitempty"`
	Org        tokens.OrgID         `json:"org,omitempty"`
	Replica    string               `json:"replica,omitempty"`
	Deployment string               `json:"deployment,omitempty"`
	Kind       tokens.EntryKind     `json:"kind,omitempty"`
	Base       tokens.Place         `json:"base,omitzero"`
	Identity   tokens.StoreIdentity `json:"identity,omitempty"`
	Record     *tokens.Record       `json:"record,omitempty"`  // its secrets are sealed by the caller
	Sealed     []byte               `json:"sealed,omitempty"`  // the answer
	Outcome    tokens.Outcome       `json:"outcome,omitempty"` // of a settle
}

// head is the first line of a file.
type head struct {
	Format  int    `json:"format"`
	Replica string `json:"replica"`
	// Snapshot is the length of a file that holds all that was wanted of those
	// before it; 0: it continues another one.
	Snapshot int64 `json:"snapshot,omitempty"`
	// After names the file that this one continues, and End where that one ends:
	// what stands behind was never promised, or is repeated here. Durable is how
	// much of it was promised.
	After   int64 `json:"after,omitempty"`
	End     int64 `json:"end,omitempty"`
	Durable int64 `json:"durable,omitempty"`
}

func (l line) payload() ([]byte, error) {
	b, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("journal: encode a line of org %s: %w", l.Org, err)
	}
	if len(b) > maxPayload {
		return nil, fmt.Errorf("org %s: %w", l.Org, ErrTooLarge)
	}
	return b, nil
}

func beginLine(e tokens.Entry) line {
	return line{
		Line: lineBegin, Attempt: e.Attempt, Org: e.Org, Replica: e.Replica, Deployment: e.Deployment,
		Kind: e.Kind, Base: e.Base, Identity: e.Identity, Record: &e.Record,
	}
}

func settleLine(id tokens.AttemptID, o tokens.Outcome) line {
	return line{Line: lineSettle, Attempt: id, Outcome: o}
}
