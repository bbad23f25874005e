package redisstore

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/tokens"
)

// keys makes the names of keys and channels from the prefix.
type keys string

func (k keys) of(org tokens.OrgID, what string) string {
	return string(k) + ":{" + string(org) + "}:" + what
}

func (k keys) record(org tokens.OrgID) string { return k.of(org, "record") }
func (k keys) lock(org tokens.OrgID) string   { return k.of(org, "lock") }
func (k keys) fence(org tokens.OrgID) string  { return k.of(org, "fence") }
func (k keys) stamp(org tokens.OrgID) string  { return k.of(org, "stamp") }

func (k keys) history(org tokens.OrgID) string { return k.of(org, "history") }
func (k keys) spool(org tokens.OrgID) string   { return k.of(org, "spool") }

func (k keys) orgs() string            { return string(k) + ":{orgs}" }
func (k keys) spools() string          { return string(k) + ":{spools}" }
func (k keys) claims() string          { return string(k) + ":{claims}" }
func (k keys) registry() string        { return string(k) + ":{registry}" }
func (k keys) meta(name string) string { return string(k) + ":{meta}:" + name }
func (k keys) check() string           { return string(k) + ":{check}" }

func (k keys) chanRecords() string  { return string(k) + ":records" }
func (k keys) chanRegistry() string { return string(k) + ":registry" }
func (k keys) chanReleased() string { return string(k) + ":released" }
func (k keys) chanCheck() string    { return string(k) + ":check" }

// checkPrefix refuses what would break the hash tags or a pattern of an ACL.
func checkPrefix(p string) error {
	if strings.ContainsAny(p, "{}*?[]\\ \t\r\n\"'") {
		return fmt.Errorf("redisstore: the prefix %q holds a brace, a blank, a quote or a sign of a pattern: take letters, digits, '-', '.' and ':'", p)
	}
	return nil
}

// reservedMeta are the names that an org called "meta" needs.
var reservedMeta = map[string]bool{"record": true, "lock": true, "fence": true, "stamp": true, "history": true, "spool": true, "ack": true}
