package config

import (
	"regexp"
	"slices"
	"strings"
)

// cliVariables are read by the commands that talk to a server, not by `serve`.
var cliVariables = []string{"SALLYPORT_ADMIN_URL", "SALLYPORT_CLIENT_SECRET"}

// Kubernetes gives every container the address of each service in its namespace ("Service: Environment variables"), so
// a service named sallyport, or sallyport-admin, makes variables that look like ours.
var (
	serviceLink = regexp.MustCompile(`^SALLYPORT(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)
	portLink    = regexp.MustCompile(`^SALLYPORT(_[A-Z0-9_]+)?_PORT$`)
	portValue   = regexp.MustCompile(`^(tcp|udp|sctp)://`)
)

// unknown faults every variable with our prefix that nobody reads, and names the nearest one that is read.
func (l *loader) unknown() {
	known := Variables()
	for name, value := range l.vars {
		switch {
		case !strings.HasPrefix(name, prefix),
			slices.Contains(known, name),
			slices.Contains(cliVariables, name),
			name == l.cfg.Keyset.Variable,
			serviceLink.MatchString(name),
			portLink.MatchString(name) && portValue.MatchString(value):
			continue
		}
		l.fault(name, "there is no such variable; the nearest one is %s", nearest(name, known))
	}
}

// nearest returns the candidate with the smallest edit distance to name.
func nearest(name string, candidates []string) string {
	best, least := "", len(name)+100
	for _, c := range candidates {
		if d := distance(name, c); d < least {
			best, least = c, d
		}
	}
	return best
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
