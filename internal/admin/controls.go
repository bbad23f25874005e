package admin

import (
	"strings"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/tokens"
)

const salesforceRefresh = registry.GrantRefreshToken

// inSetup is where an External Client App's controls are.
const inSetup = "Setup, External Client App Manager, the app, OAuth settings: "

// Controls says of each of the five controls that Salesforce mandates of partners' apps (Salesforce, ISVforce Guide,
// due 11 May 2026) what can be known from orgs, and where to look for the rest. It never guesses.
func Controls(orgs []Org) []Finding {
	hidden := func(check, what, hint string) Finding {
		return Finding{Check: check, Result: ResultNotVisible, What: what, Hint: hint}
	}
	return []Finding{
		hidden("control: PKCE", "sallyport always sends S256, whether or not the app insists on it",
			inSetup+"Require Proof Key for Code Exchange"),
		rotation(orgs),
		hidden("control: 30-day idle limit", "no answer of Salesforce tells it; the heartbeat keeps idle grants below it",
			inSetup+"Limit Idle Refresh Token TTL to 30 Days"),
		hidden("control: refresh token IP allowlist", "no answer of Salesforce tells it until an address is refused",
			inSetup+"Enforce Refresh Token IP Allowlist, with the ranges that sallyport egress plan tells"),
		hidden("control: refresh token IP monitoring", "it is a practice, not a setting",
			"sallyport egress watch compares LoginHistory.SourceIp of each integration user with the known addresses; serve does so daily where SALLYPORT_EGRESS_ALLOWED is set"),
	}
}

// rotation is the one control that the answers themselves show.
func rotation(orgs []Org) Finding {
	f := Finding{Check: "control: refresh token rotation", Hint: inSetup + "Enable Refresh Token Rotation"}
	var off, unknown []string
	seen := 0
	for _, o := range orgs {
		switch {
		case o.Grant == nil || o.Grant.Kind != salesforceRefresh:
		case o.Grant.Rotation == tokens.Rotates.String():
			seen++
		case o.Grant.Rotation == tokens.DoesNotRotate.String():
			off = append(off, o.Name)
		default:
			unknown = append(unknown, o.Name)
		}
	}
	switch {
	case len(off) > 0:
		f.Result, f.What = ResultMissing, "an exchange brought no new refresh token: "+strings.Join(off, ", ")
	case len(unknown) > 0:
		f.Result, f.What = ResultNotVisible, "there was no exchange yet that shows it: "+strings.Join(unknown, ", ")
	case seen == 0:
		f.Result, f.What = ResultNotVisible, "there is no refresh token grant that would show it"
	default:
		f.Result, f.What, f.Hint = ResultSeen, "every exchange brought a new refresh token", ""
	}
	return f
}
