package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"

	"software.sslmate.com/src/go-pkcs12"
)

// javaStore is a PKCS #12 trust store (RFC 7292) as Java reads it since 8u301: each certificate has the attribute of
// Oracle's that makes it a trusted one, and an alias of its own. Java's property for a trust store replaces the JDK's,
// so the public roots are in it too. Its password is the JDK's, known to everyone: it guards nothing.
func javaStore(ca, roots []*x509.Certificate) ([]byte, error) {
	var entries []pkcs12.TrustStoreEntry
	for _, c := range ca {
		entries = append(entries, pkcs12.TrustStoreEntry{Cert: c, FriendlyName: "sallyport " + shortHash(c)})
	}
	for _, c := range without(roots, ca) {
		entries = append(entries, pkcs12.TrustStoreEntry{Cert: c, FriendlyName: alias(c)})
	}
	return pkcs12.Modern2023.EncodeTrustStoreEntries(entries, pkcs12.DefaultPassword)
}

// alias names a root. Java lowers aliases and takes two that are the same for one entry, so the hash makes it unique.
func alias(c *x509.Certificate) string {
	name := c.Subject.CommonName
	if name == "" {
		name = strings.Join(c.Subject.OrganizationalUnit, " ")
	}
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, strings.ToLower(name))
	return strings.TrimSpace(fmt.Sprintf("%s %s", name, shortHash(c)))
}

func shortHash(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:4])
}
