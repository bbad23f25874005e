package virtual_test

import (
	"encoding/xml"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/proxy/virtual"
)

func service(t *testing.T, path string) virtual.Service {
	t.Helper()
	s, ok := virtual.SOAP(path)
	if !ok {
		t.Fatalf("%s is no service", path)
	}
	return s
}

func login(t *testing.T, path string) virtual.LoginAnswer {
	t.Helper()
	return virtual.LoginAnswer{Service: service(t, path), SessionID: placeholder(t, placeholders(t)), InstanceURL: instance + "/",
		OrganizationID: organization, UserID: user, OrganizationName: "Acme & <Sons>", Username: "me@acme.com",
		FullName: "Me", Email: "me@acme.com", SessionTimeout: 15 * time.Minute}
}

func TestSOAPIsThePartnerOrTheEnterpriseAPI(t *testing.T) {
	for path, want := range map[string]bool{
		"/services/Soap/u/65.0": true, "/services/Soap/c/65.0": true, "/services/soap/U/59": true,
		"/services/Soap/u/65.0/00DWt00000B2V4b": true, "/services/Soap/c/65.0/00DWt00000B2V4b/0DFWt0000000001": true,
		"/services/Soap/m/65.0": false, "/services/Soap/T/65.0": false, "/services/Soap/s/65.0": false, "/services/Soap/u": false,
		"/services/Soap/u/": false, "/services/Soap/u/x": false, "/services/Soap/u/65.": false, "/services/Soap/u/.0": false,
		"/services/Soap/u/65.0.0": false, "/services/Soap/u/9999.0": false, "/services/Soap/u/<b>": false, "/services/Soap": false, "": false,
		"/services/Soap/uc/65.0": false,
	} {
		if _, ok := virtual.SOAP(path); ok != want {
			t.Errorf("%s: not %t", path, want)
		}
	}
}

// jsforce, src/connection.ts: loginBySoap and logoutBySoap.
func TestJsforceFindsItsSessionByRegularExpressions(t *testing.T) {
	a := login(t, "/services/Soap/u/42.0")
	body := virtual.RenderLogin(a)
	find := func(name string) string {
		m := regexp.MustCompile(`<` + name + `>([^<]+)</` + name + `>`).FindSubmatch(body)
		if m == nil {
			t.Fatalf("no %s: %s", name, body)
		}
		return string(m[1])
	}
	want := []string{instance + "/services/Soap/u/42.0/00DWt00000B2V4b", a.SessionID.Reveal(), user, organization}
	got := []string{find("serverUrl"), find("sessionId"), find("userId"), find("organizationId")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if out := virtual.RenderLogout(a.Service); contains("faultstring", out) || !contains("<logoutResponse/>", out) {
		t.Errorf("%s", out)
	}
}

// simple_salesforce/login.py: soap_login takes the one element of each name, wherever it is, and the instance out of serverUrl.
func TestSimpleSalesforceFindsEachElementOnce(t *testing.T) {
	a := login(t, "/services/Soap/u/59.0")
	body := string(virtual.RenderLogin(a))
	for _, name := range []string{"sessionId", "serverUrl"} {
		if strings.Count(body, "<"+name+">") != 1 {
			t.Errorf("%s: %s", name, body)
		}
	}
	_, rest, _ := strings.Cut(body, "<serverUrl>")
	url, _, _ := strings.Cut(rest, "</serverUrl>")
	host, _, _ := strings.Cut(strings.TrimPrefix(url, "https://"), "/")
	if strings.ReplaceAll(host, "-api", "") != "acme.my.salesforce.com" {
		t.Errorf("the instance is %s", host)
	}
}

// simpleforce, force.go: LoginPassword.
func TestSimpleforceUnmarshalsItsSession(t *testing.T) {
	a := login(t, "/services/Soap/u/43.0")
	var got struct {
		XMLName      xml.Name `xml:"Envelope"`
		ServerURL    string   `xml:"Body>loginResponse>result>serverUrl"`
		SessionID    string   `xml:"Body>loginResponse>result>sessionId"`
		UserID       string   `xml:"Body>loginResponse>result>userId"`
		UserEmail    string   `xml:"Body>loginResponse>result>userInfo>userEmail"`
		UserFullName string   `xml:"Body>loginResponse>result>userInfo>userFullName"`
		UserName     string   `xml:"Body>loginResponse>result>userInfo>userName"`
		Organization string   `xml:"Body>loginResponse>result>userInfo>organizationName"`
		Seconds      int      `xml:"Body>loginResponse>result>userInfo>sessionSecondsValid"`
		Sandbox      bool     `xml:"Body>loginResponse>result>sandbox"`
	}
	if err := xml.Unmarshal(virtual.RenderLogin(a), &got); err != nil {
		t.Fatal(err)
	}
	if got.SessionID != a.SessionID.Reveal() || got.ServerURL != instance+"/services/Soap/u/43.0/00DWt00000B2V4b" || got.UserID != user ||
		got.UserEmail != a.Email || got.UserFullName != a.FullName || got.UserName != a.Username || got.Organization != a.OrganizationName ||
		got.Seconds != 900 || got.Sandbox {
		t.Errorf("got %+v", got)
	}
}

// Force.com's WSC reads the elements in the order of the WSDL, in its namespace, and needs all of them.
func TestWSCReadsEveryElementInTheOrderOfTheWSDL(t *testing.T) {
	want := strings.Fields(`Envelope Body loginResponse result metadataServerUrl passwordExpired sandbox serverUrl sessionId userId
		userInfo accessibilityMode chatterExternal currencySymbol orgAttachmentFileSizeLimit orgDefaultCurrencyIsoCode
		orgDefaultCurrencyLocale orgDisallowHtmlAttachments orgHasPersonAccounts organizationId organizationMultiCurrency
		organizationName profileId roleId sessionSecondsValid userDefaultCurrencyIsoCode userEmail userFullName userId
		userLanguage userLocale userName userTimeZone userType userUiSkin`)
	for path, namespace := range map[string]string{
		"/services/Soap/u/65.0": "urn:partner.soap.sforce.com", "/services/Soap/c/65.0": "urn:enterprise.soap.sforce.com",
	} {
		got, names := elements(t, virtual.RenderLogin(login(t, path)), namespace)
		if diff := cmp.Diff(want, names); diff != "" {
			t.Error(diff)
		}
		for name, text := range map[string]string{
			"metadataServerUrl": instance + "/services/Soap/m/65.0/00DWt00000B2V4b", "passwordExpired": "false",
			"serverUrl": instance + path + "/00DWt00000B2V4b", "currencySymbol": "nil", "roleId": "nil",
		} {
			if got[name] != text {
				t.Errorf("%s is %q instead of %q", name, got[name], text)
			}
		}
		if _, names := elements(t, virtual.RenderLogout(service(t, path)), namespace); !slices.Equal(names, []string{"Envelope", "Body", "logoutResponse"}) {
			t.Errorf("logout: %v", names)
		}
	}
}

// elements returns the texts of an answer's elements and their names in order. Those within the body are in namespace.
func elements(t *testing.T, body []byte, namespace string) (texts map[string]string, names []string) {
	t.Helper()
	texts = map[string]string{}
	d := xml.NewDecoder(strings.NewReader(string(body)))
	name := ""
	for {
		token, err := d.Token()
		if token == nil {
			if err.Error() != "EOF" {
				t.Fatalf("%v: %s", err, body)
			}
			return texts, names
		}
		switch e := token.(type) {
		case xml.StartElement:
			name = e.Name.Local
			names = append(names, name)
			want := namespace
			if len(names) <= 2 {
				want = "http://schemas.xmlsoap.org/soap/envelope/"
			}
			if e.Name.Space != want {
				t.Errorf("%s is in %q", name, e.Name.Space)
			}
			for _, a := range e.Attr {
				if a.Name.Space == "http://www.w3.org/2001/XMLSchema-instance" && a.Name.Local == "nil" {
					texts[name] = "nil"
				}
			}
		case xml.CharData:
			texts[name] += string(e)
		}
	}
}

func TestALoginAnswerFillsInWhatIsNotKnown(t *testing.T) {
	got, _ := elements(t, virtual.RenderLogin(virtual.LoginAnswer{InstanceURL: instance, OrganizationID: "<b>", UserID: "006", Sandbox: true}),
		"urn:partner.soap.sforce.com")
	for name, want := range map[string]string{
		"serverUrl": instance + "/services/Soap/u/64.0/00D000000000000", "organizationId": "00D000000000000EAA",
		"userId": "005000000000000AAA" + "005000000000000AAA", "sessionSecondsValid": "7200", "sandbox": "true", "sessionId": "", "userName": "",
	} {
		if got[name] != want {
			t.Errorf("%s is %q instead of %q", name, got[name], want)
		}
	}
}
