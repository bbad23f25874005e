package registry

import (
	"errors"
	"fmt"
	"sort"
	"strings"
)

// ErrConflict is what a [Store] returns when the document is not at the expected version: another process changed it.
// Nothing was written. [Registry.Apply] reads the document again and tries once more by itself, a few times.
var ErrConflict = errors.New("the registry was changed by another process at the same time")

// ErrInvalid is matched by every [InvalidError].
var ErrInvalid = errors.New("invalid change")

// ErrUnknown is matched by every [UnknownError].
var ErrUnknown = errors.New("unknown resource")

// Fault is one thing that is wrong in a change.
type Fault struct {
	Path    string `json:"path"`           // As "orgs[0].loginUrl"; empty for the whole.
	Line    int    `json:"line,omitempty"` // From 1, in the change's source; 0 when it isn't known.
	Message string `json:"message"`        // What is wrong and what to do; never a secret.
}

// InvalidError says that a change was refused as a whole, with everything that is wrong in it. Nothing was applied.
// The same change is refused again until its faults are mended.
type InvalidError struct {
	Source string  `json:"source,omitempty"` // The file; empty when the change didn't come from one.
	Faults []Fault `json:"faults"`
}

// NewInvalidError returns an InvalidError with the faults in the order of their lines, then as given, or nil when there
// are none.
func NewInvalidError(source string, faults []Fault) error {
	if len(faults) == 0 {
		return nil
	}
	sort.SliceStable(faults, func(i, j int) bool { return faults[i].Line < faults[j].Line })
	return &InvalidError{Source: source, Faults: faults}
}

// Error lists every fault, one a line, as FILE:LINE: PATH: MESSAGE.
func (e *InvalidError) Error() string {
	var b strings.Builder
	b.WriteString("nothing was applied:")
	for _, f := range e.Faults {
		b.WriteString("\n  ")
		if e.Source != "" {
			b.WriteString(e.Source + ":")
			if f.Line > 0 {
				fmt.Fprintf(&b, "%d:", f.Line)
			}
			b.WriteByte(' ')
		}
		if f.Path != "" {
			b.WriteString(f.Path + ": ")
		}
		b.WriteString(f.Message)
	}
	return b.String()
}

// Is reports whether target is [ErrInvalid].
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// UnknownError says that there is no resource of that kind and name. Trying again helps after an apply that makes it.
type UnknownError struct{ Kind, Name string }

// Error implements error.
func (e *UnknownError) Error() string {
	return fmt.Sprintf("there is no %s %q; `sallyport get %ss` lists them", e.Kind, e.Name, e.Kind)
}

// Is reports whether target is [ErrUnknown].
func (e *UnknownError) Is(target error) bool { return target == ErrUnknown }

// HostError says that an instance host was not taken over for an org, because a token must not be sent there. The same
// host is refused again.
type HostError struct{ Org, Host, Reason string }

// Error implements error.
func (e *HostError) Error() string {
	return fmt.Sprintf("org %q: instance host %q is refused: %s; set the org's hosts, or foreignHosts for a simulator",
		e.Org, e.Host, e.Reason)
}

// SchemaError says that the stored document was written by a newer version. Nothing was changed; run that version.
type SchemaError struct{ Found, Known int }

// Error implements error.
func (e *SchemaError) Error() string {
	return fmt.Sprintf("the stored registry has schema %d and this version knows up to %d: run the version that wrote it",
		e.Found, e.Known)
}
