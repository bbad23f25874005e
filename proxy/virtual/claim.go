package virtual

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Limits of a [Claim], in bytes. They keep the longest placeholder under 512.
const (
	MaxName  = 128 // A client's or an org's.
	MaxStamp = 16
)

// Claim is what a placeholder stands for.
type Claim struct {
	// Client is the name of the client that it was given to; empty for a local caller without one.
	Client string
	// ClientStamp changes when the client's secret does. It is opaque here: the caller compares it with the present one.
	ClientStamp string
	// Org is the org's key, which never changes.
	Org string
	// OrganizationID is Salesforce's id of the org, of 15 or 18 characters; empty when it isn't known. It is the part of
	// a placeholder that everybody can read. Opened, it has 18 characters.
	OrganizationID string
	// Issued is when, to the millisecond.
	Issued time.Time
}

// ClaimError says that a [Claim] is none that a placeholder can make. Trying again doesn't help: it is a mistake of the
// caller's.
type ClaimError struct {
	// Field is the name of the field of [Claim].
	Field string
	// Problem says what is wrong with it.
	Problem string
}

// Error names the field and the problem.
func (e *ClaimError) Error() string {
	return fmt.Sprintf("no placeholder can be made: %s %s", e.Field, e.Problem)
}

// encode returns what is sealed and the org id that is shown.
func (c Claim) encode() (plain []byte, organization string, _ error) {
	organization, ok := noOrganization, true
	if c.OrganizationID != "" {
		organization, ok = longID(c.OrganizationID, "00D")
	}
	switch {
	case !ok:
		return nil, "", &ClaimError{"OrganizationID", "is not 15 or 18 letters and digits that begin with 00D"}
	case len(c.Client) > MaxName:
		return nil, "", &ClaimError{"Client", fmt.Sprintf("is longer than %d bytes", MaxName)}
	case len(c.ClientStamp) > MaxStamp:
		return nil, "", &ClaimError{"ClientStamp", fmt.Sprintf("is longer than %d bytes", MaxStamp)}
	case c.Org == "" || len(c.Org) > MaxName:
		return nil, "", &ClaimError{"Org", fmt.Sprintf("is empty or longer than %d bytes", MaxName)}
	case c.Issued.IsZero():
		return nil, "", &ClaimError{"Issued", "is no time"}
	}
	plain = binary.BigEndian.AppendUint64(nil, uint64(c.Issued.UnixMilli()))
	for _, s := range []string{c.Client, c.ClientStamp, c.Org} {
		plain = append(append(plain, byte(len(s))), s...)
	}
	return plain, organization, nil
}

// decodeClaim reverses encode.
func decodeClaim(plain []byte, organization string) (Claim, bool) {
	if len(plain) < 8 {
		return Claim{}, false
	}
	c := Claim{Issued: time.UnixMilli(int64(binary.BigEndian.Uint64(plain))).UTC()}
	rest := plain[8:]
	for _, s := range []*string{&c.Client, &c.ClientStamp, &c.Org} {
		if len(rest) == 0 || len(rest)-1 < int(rest[0]) {
			return Claim{}, false
		}
		n := int(rest[0])
		*s, rest = string(rest[1:1+n]), rest[1+n:]
	}
	if organization != noOrganization {
		c.OrganizationID = organization
	}
	return c, len(rest) == 0
}
