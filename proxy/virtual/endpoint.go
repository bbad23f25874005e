package virtual

import "strings"

// Kind is one of the OAuth endpoints that are answered here. The zero Kind is none.
type Kind uint8

// The kinds.
const (
	Token      Kind = iota + 1 // [ParseToken], [Answer]
	Revoke                     // [ParseRevoke]; 200 without a body
	Introspect                 // [ParseIntrospect], [Placeholders.Introspect]
)

// endpoints are the canonical paths of the kinds.
var endpoints = [...]struct {
	path string
	kind Kind
}{
	{"/services/oauth2/token", Token},
	{"/services/oauth2/revoke", Revoke},
	{"/services/oauth2/introspect", Introspect},
}

// Endpoint tells which endpoint path is, a canonical one, in any letter case. It is false for every other path: what
// else lies under /services/oauth2, and whatever lies below these three, isn't answered here.
func Endpoint(path string) (Kind, bool) {
	for _, e := range endpoints {
		// Equal length in bytes leaves only ASCII to be folded: no letter from elsewhere passes for one of these.
		if len(path) == len(e.path) && strings.EqualFold(path, e.path) {
			return e.kind, true
		}
	}
	return 0, false
}

// String returns the kind's last segment of the path, for logs and spans.
func (k Kind) String() string {
	switch k {
	case Token:
		return "token"
	case Revoke:
		return "revoke"
	case Introspect:
		return "introspect"
	default:
		return "none"
	}
}
