package virtual

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
)

// SOAPContentType is the content type of every answer of the SOAP APIs.
const SOAPContentType = "text/xml;charset=UTF-8"

// Service is a SOAP API that has login and logout. The zero Service is the partner API, version 64.0.
type Service struct {
	enterprise bool
	version    string
}

// SOAP tells whether path, a canonical one, is the partner or the enterprise API: /services/Soap/u/65.0 or
// /services/Soap/c/65.0, in any letter case, with or without the segments that a serverUrl has at its end.
func SOAP(path string) (Service, bool) {
	const prefix = "/services/soap/"
	if len(path) < len(prefix) || !strings.EqualFold(path[:len(prefix)], prefix) {
		return Service{}, false
	}
	api, rest, _ := strings.Cut(path[len(prefix):], "/")
	version, _, _ := strings.Cut(rest, "/")
	if !strings.EqualFold(api, "u") && !strings.EqualFold(api, "c") || !isVersion(version) {
		return Service{}, false
	}
	return Service{enterprise: strings.EqualFold(api, "c"), version: version}, true
}

// isVersion reports whether s is an API's version: 65.0, or 65 as some clients have it.
func isVersion(s string) bool {
	major, minor, dotted := strings.Cut(s, ".")
	return isNumber(major, 3) && (!dotted || isNumber(minor, 1))
}

func isNumber(s string, most int) bool {
	return s != "" && len(s) <= most && strings.Trim(s, "0123456789") == ""
}

func (s Service) letter() string {
	if s.enterprise {
		return "c"
	}
	return "u"
}

func (s Service) number() string {
	if s.version == "" {
		return "64.0"
	}
	return s.version
}

// envelope begins the answer's envelope and body.
func (s Service) envelope() *bytes.Buffer {
	name := "urn:partner.soap.sforce.com"
	if s.enterprise {
		name = "urn:enterprise.soap.sforce.com"
	}
	return bytes.NewBufferString(xmlHeader + `<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" ` +
		`xmlns="` + name + `" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>`)
}

const endEnvelope = "</soapenv:Body></soapenv:Envelope>"

// LoginAnswer is the answer to SOAP's login. All fields but SessionID and InstanceURL may be empty.
type LoginAnswer struct {
	// Service is the API that was called, from [SOAP].
	Service Service
	// SessionID is a placeholder of [Placeholders.Make]. What isn't one is not rendered.
	SessionID secret.Text
	// InstanceURL is scheme and host of serverUrl: the org's My Domain, or sallyport's base URL.
	InstanceURL string
	// OrganizationID and UserID are Salesforce's ids. What is no such id is replaced by one of nobody.
	OrganizationID, UserID string
	// OrganizationName, Username, FullName and Email describe the org and its user.
	OrganizationName, Username, FullName, Email string
	// Sandbox says that the org is one.
	Sandbox bool
	// SessionTimeout is the org's session policy: two hours when zero.
	SessionTimeout time.Duration
}

// RenderLogin returns loginResponse as the partner and enterprise WSDL order it, for status 200. Elements have neither a
// prefix nor attributes, since jsforce finds them by regular expressions.
func RenderLogin(a LoginAnswer) []byte {
	organization, ok := longID(a.OrganizationID, "00D")
	if !ok {
		organization = noOrganization
	}
	user, ok := longID(a.UserID, "005")
	if !ok {
		user = noUser
	}
	timeout := a.SessionTimeout
	if timeout <= 0 {
		timeout = 2 * time.Hour
	}
	base := strings.TrimRight(a.InstanceURL, "/") + "/services/Soap/"
	tail := "/" + a.Service.number() + "/" + organization[:15]

	b := a.Service.envelope()
	b.WriteString("<loginResponse><result>")
	element(b, "metadataServerUrl", base+"m"+tail)
	element(b, "passwordExpired", "false")
	element(b, "sandbox", strconv.FormatBool(a.Sandbox))
	element(b, "serverUrl", base+a.Service.letter()+tail)
	element(b, "sessionId", only(a.SessionID))
	element(b, "userId", user)
	b.WriteString("<userInfo>")
	for _, e := range [][2]string{
		{"accessibilityMode", "false"}, {"chatterExternal", "false"}, {"currencySymbol", ""},
		{"orgAttachmentFileSizeLimit", "5242880"}, {"orgDefaultCurrencyIsoCode", ""}, {"orgDefaultCurrencyLocale", "en_US"},
		{"orgDisallowHtmlAttachments", "false"}, {"orgHasPersonAccounts", "false"}, {"organizationId", organization},
		{"organizationMultiCurrency", "false"}, {"organizationName", a.OrganizationName}, {"profileId", noProfile},
		{"roleId", ""}, {"sessionSecondsValid", strconv.FormatInt(int64(timeout/time.Second), 10)},
		{"userDefaultCurrencyIsoCode", ""}, {"userEmail", a.Email}, {"userFullName", a.FullName}, {"userId", user},
		{"userLanguage", "en_US"}, {"userLocale", "en_US"}, {"userName", a.Username}, {"userTimeZone", "GMT"},
		{"userType", "Standard"}, {"userUiSkin", "Theme3"},
	} {
		if e[1] == "" && nillable[e[0]] {
			b.WriteString("<" + e[0] + ` xsi:nil="true"/>`)
			continue
		}
		element(b, e[0], e[1])
	}
	b.WriteString("</userInfo></result></loginResponse>" + endEnvelope)
	return b.Bytes()
}

// nillable are the elements of userInfo that the WSDL lets be nil.
var nillable = map[string]bool{
	"currencySymbol": true, "orgDefaultCurrencyIsoCode": true, "roleId": true, "userDefaultCurrencyIsoCode": true,
}

// RenderLogout returns logoutResponse, for status 200. Nothing is ended: at Salesforce, logout would end the session of
// every client of the org.
func RenderLogout(s Service) []byte {
	b := s.envelope()
	b.WriteString("<logoutResponse/>" + endEnvelope)
	return b.Bytes()
}
