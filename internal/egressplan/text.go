package egressplan

import (
	"fmt"
	"strings"
)

// Letter is what a customer's administrator must be told.
type Letter struct {
	App    string   // as sallyport calls it
	Orgs   []string // whose administrators are asked
	Add    Set      // what the list must hold that it doesn't hold
	Keep   Set      // what it must go on holding
	Remove Set      // what may go, later
}

// Text is the letter as plain text. It names the settings as Salesforce does, and asks for nothing secret.
func (l Letter) Text() string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	list := func(s Set) {
		for _, r := range s {
			say("    Start IP Address: %-39s  End IP Address: %s", r.From, r.To)
		}
		say("")
	}
	say("Subject: IP addresses for the app %s in %s", l.App, strings.Join(l.Orgs, ", "))
	say("")
	say("Our calls to your Salesforce org leave from fixed addresses. Salesforce can refuse the app's refresh token to anybody else;")
	say("for that its allowlist must hold our addresses. Please enter them as follows.")
	say("")
	say("Where: Setup, External Client App Manager, the app, its OAuth settings: \"Enforce Refresh Token IP Allowlist\", and below it the")
	say("\"Refresh Token IP Allowlist\" ranges. (For an app that its provider manages, the provider enters them.) The app's trusted IP ranges and the profile's login IP ranges are other lists.")
	say("")
	if len(l.Add) > 0 {
		say("1. Add, and remove nothing yet:")
		say("")
		list(l.Add)
	} else {
		say("1. Nothing is to be added.")
		say("")
	}
	if len(l.Keep) > 0 {
		say("   These must stay, or be there:")
		say("")
		list(l.Keep)
	}
	say("2. If the app was made from a connected app: its ranges are not carried over (a known problem, Salesforce Help 005387022). Enter them")
	say("   all again, and edit and save at least one entry, or none of them takes effect.")
	say("3. Switch \"Enforce Refresh Token IP Allowlist\" on only when all ranges are in, and tell us when you saved. We wait %d minutes", int(Propagation.Minutes()))
	say("   before we rely on it.")
	if len(l.Remove) > 0 {
		say("4. Later, when we tell you, remove:")
		say("")
		list(l.Remove)
	}
	say("Notes: a range is a start and an end address, both included, IPv4 or IPv6; Salesforce takes no CIDR, at most %d ranges and %d addresses", MaxRanges, MaxAddresses)
	say("in all. An address that isn't on the list can use neither a refresh token nor an authorization code; it isn't asked for more proof, it is refused.")
	return b.String()
}
