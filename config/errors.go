package config

import (
	"errors"
	"strings"
)

// ErrInvalid is matched by every [EnvError].
var ErrInvalid = errors.New("invalid configuration")

// EnvFault is one thing that is wrong in the environment.
type EnvFault struct {
	Variable string
	Message  string // What is wrong and what to do; never a secret.
}

// EnvError lists everything that is wrong in the environment, by variable. The same environment fails again.
type EnvError struct{ Faults []EnvFault }

// Error lists every fault, one a line, as VARIABLE: MESSAGE.
func (e *EnvError) Error() string {
	var b strings.Builder
	b.WriteString("the environment is wrong:")
	for _, f := range e.Faults {
		b.WriteString("\n  " + f.Variable + ": " + strings.ReplaceAll(f.Message, "\n", "; "))
	}
	return b.String()
}

// Is reports whether target is [ErrInvalid].
func (e *EnvError) Is(target error) bool { return target == ErrInvalid }
