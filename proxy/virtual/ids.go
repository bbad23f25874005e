package virtual

import "strings"

// Ids of nobody, for what isn't known of an org.
const (
	noOrganization = "00D000000000000EAA"
	noUser         = "005000000000000AAA"
	noProfile      = "00e000000000000AAA"
)

// longID returns the 18-character form of a Salesforce id with the given prefix, from either form. It is false for
// what isn't one.
func longID(id, prefix string) (string, bool) {
	if len(id) != 15 && len(id) != 18 || !strings.HasPrefix(id, prefix) {
		return "", false
	}
	for i := range len(id) {
		if c := id[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return "", false
		}
	}
	if len(id) == 18 {
		return id, true
	}
	return id + suffix(id), true
}

// suffix is what makes 15 characters that differ in case only differ without it: for each five of them, a bit for each
// upper-case letter, in base 32.
func suffix(id string) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
	var s [3]byte
	for chunk := range s {
		bits := 0
		for i := range 5 {
			if c := id[chunk*5+i]; 'A' <= c && c <= 'Z' {
				bits |= 1 << i
			}
		}
		s[chunk] = digits[bits]
	}
	return string(s[:])
}
