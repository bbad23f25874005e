package virtual

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

// assertable reports whether assertion is a JWT in its compact form (RFC 7519, section 3) whose claims name an issuer
// and a subject, which Salesforce also takes as prn. The rest, signature and expiry too, is not looked at: the client
// signs with a key that nobody knows, and sfdx-core's exp is in milliseconds.
func assertable(assertion string) bool {
	_, rest, ok := strings.Cut(assertion, ".")
	payload, signature, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || strings.Contains(signature, ".") {
		return false
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(payload, "="))
	if err != nil {
		return false
	}
	var claims struct {
		Issuer    string `json:"iss"`
		Subject   string `json:"sub"`
		Principal string `json:"prn"`
	}
	return json.Unmarshal(raw, &claims) == nil && claims.Issuer != "" && claims.Subject+claims.Principal != ""
}
