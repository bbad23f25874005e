package virtual_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/proxy/virtual"
)

// Requests as the clients' own code makes them (salesforce.md, sections 1.1 and 10.2).
func TestRequestsOfRealClients(t *testing.T) {
	dummy := "5Aep861dummy"
	for _, tt := range []struct {
		name    string
		request func(t *testing.T) *http.Request
		want    virtual.Grant
		format  virtual.Format
		code    string // Of the refusal, if there is one.
	}{
		{name: "jsforce refreshes with a form",
			request: func(t *testing.T) *http.Request {
				return post(t, "https://login.salesforce.com/services/oauth2/token",
					"grant_type=refresh_token&refresh_token="+dummy+"&client_id=3MVG9&client_secret=0000", "Accept-Encoding", "gzip, deflate")
			}, want: virtual.GrantRefreshToken},
		{name: "sfdx-core logs in by JWT with an exp in milliseconds",
			request: func(t *testing.T) *http.Request {
				return post(t, "https://test.salesforce.com/services/oauth2/token",
					"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion="+
						jwt(`{"iss":"3MVG9","sub":"me@acme.com","aud":"https://test.salesforce.com","exp":1758701441420}`))
			}, want: virtual.GrantJWTBearer},
		{name: "sfdx-core trades a code with a verifier of 171 characters",
			request: func(t *testing.T) *http.Request {
				return post(t, endpoint, "grant_type=authorization_code&code=aPrxdummy&client_id=PlatformCLI&redirect_uri="+
					"http%3A%2F%2Flocalhost%3A1717%2FOauthRedirect&code_verifier="+strings.Repeat("v", 171))
			}, want: virtual.GrantAuthorizationCode},
		{name: "sfdx-core begins the device flow with a multipart form",
			request: func(t *testing.T) *http.Request {
				return sfdxDevice(t, [2]string{"client_id", "PlatformCLI"}, [2]string{"response_type", "device_code"},
					[2]string{"scope", "refresh_token web api"})
			}, code: "unsupported_grant_type"},
		{name: "sfdx-core polls the device flow with a multipart form",
			request: func(t *testing.T) *http.Request {
				return sfdxDevice(t, [2]string{"client_id", "PlatformCLI"}, [2]string{"grant_type", "device"},
					[2]string{"code", "dummy"})
			}, code: "unsupported_grant_type"},
		{name: "some client refreshes with the multipart form of form-data",
			request: func(t *testing.T) *http.Request {
				return sfdxDevice(t, [2]string{"grant_type", "refresh_token"}, [2]string{"refresh_token", dummy},
					[2]string{"client_id", "3MVG9"}, [2]string{"format", "urlencoded"})
			}, want: virtual.GrantRefreshToken, format: virtual.URLEncoded},
		{name: ".NET's MultipartFormDataContent gives each part a type",
			request: func(t *testing.T) *http.Request {
				body := "--9d1f\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name=grant_type\r\n\r\n" +
					"refresh_token\r\n--9d1f\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; " +
					"name=refresh_token\r\n\r\n" + dummy + "\r\n--9d1f--\r\n"
				return request(t, "POST", endpoint, body, "Content-Type", `multipart/form-data; boundary="9d1f"`)
			}, want: virtual.GrantRefreshToken},
		{name: "simple-salesforce uses Basic for client_credentials",
			request: func(t *testing.T) *http.Request {
				r := post(t, endpoint, "grant_type=client_credentials")
				r.SetBasicAuth("3MVG9", "0000")
				return r
			}, want: virtual.GrantClientCredentials},
		{name: "simple-salesforce signs a JWT with an exp that is a string",
			request: func(t *testing.T) *http.Request {
				return post(t, "https://login.salesforce.com/services/oauth2/token",
					"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion="+
						jwt(`{"iss":"3MVG9","sub":"me@acme.com","aud":"https://login.salesforce.com","exp":"1758701621"}`))
			}, want: virtual.GrantJWTBearer},
		{name: "go-salesforce asks for client_credentials at the login host, where Salesforce itself refuses",
			request: func(t *testing.T) *http.Request {
				return post(t, "https://login.salesforce.com/services/oauth2/token",
					"client_id=3MVG9&client_secret=0000&grant_type=client_credentials")
			}, want: virtual.GrantClientCredentials},
		{name: "Force.com-Toolkit-for-NET puts everything into the query and sends no body",
			request: func(t *testing.T) *http.Request {
				return request(t, "POST", "https://login.salesforce.com/services/oauth2/token?grant_type=refresh_token&"+
					"client_id=3MVG9.a_b&client_secret=0000&refresh_token="+dummy+"==&format=json", "")
			}, want: virtual.GrantRefreshToken},
		{name: "and so it does with an empty body of text/plain",
			request: func(t *testing.T) *http.Request {
				r := request(t, "POST", endpoint+"?grant_type=refresh_token&client_id=3MVG9&refresh_token="+dummy, "",
					"Content-Type", "text/plain; charset=utf-8")
				r.Body = http.NoBody
				return r
			}, want: virtual.GrantRefreshToken},
		{name: "NetCoreForce asks for the password grant",
			request: func(t *testing.T) *http.Request {
				return post(t, endpoint, "grant_type=password&client_id=3MVG9&client_secret=0000&username=me%40acme.com&password=dummy",
					"Accept", "application/json")
			}, want: virtual.GrantPassword},
		{name: "the Mobile SDK refreshes with its device's id in the query",
			request: func(t *testing.T) *http.Request {
				return post(t, "https://login.salesforce.com/services/oauth2/token?device_id=0a1b2c",
					"grant_type=hybrid_refresh&client_id=3MVG9&refresh_token="+dummy+"&format=json")
			}, want: virtual.GrantHybridRefresh},
		{name: "restforce refreshes through Faraday",
			request: func(t *testing.T) *http.Request {
				return post(t, endpoint, "client_id=3MVG9&client_secret=0000&grant_type=refresh_token&refresh_token="+dummy,
					"Accept", "*/*", "User-Agent", "Faraday v2.9.0")
			}, want: virtual.GrantRefreshToken},
		{name: "Airbyte refreshes at the login host",
			request: func(t *testing.T) *http.Request {
				return post(t, "https://login.salesforce.com/services/oauth2/token",
					"grant_type=refresh_token&client_id=3MVG9&client_secret=0000&refresh_token="+dummy, "Accept", "*/*")
			}, want: virtual.GrantRefreshToken},
		{name: "tap-salesforce names the charset",
			request: func(t *testing.T) *http.Request {
				return request(t, "POST", endpoint, "grant_type=refresh_token&client_id=3MVG9&client_secret=0000&refresh_token="+dummy,
					"Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
			}, want: virtual.GrantRefreshToken},
		{name: "a client that still carries a dead token in Authorization",
			request: func(t *testing.T) *http.Request {
				return post(t, endpoint, "grant_type=refresh_token&refresh_token="+dummy, "Authorization", "Bearer 00D!dead")
			}, want: virtual.GrantRefreshToken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := virtual.ParseToken(tt.request(t))
			if tt.code != "" {
				if err == nil || err.Code != tt.code {
					t.Errorf("got %+v, %v", got, err)
				}
				return
			}
			if err != nil || got.Grant != tt.want || got.Format != tt.format {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// sfdxDevice is a request of sfdx-core's device flow, whose body form-data makes.
func sfdxDevice(t *testing.T, params ...[2]string) *http.Request {
	t.Helper()
	const boundary = "--------------------------735323031399963166993862"
	var b strings.Builder
	for _, p := range params {
		b.WriteString("--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + p[0] + "\"\r\n\r\n" + p[1] + "\r\n")
	}
	return request(t, "POST", "https://login.salesforce.com/services/oauth2/token", b.String()+"--"+boundary+"--\r\n",
		"content-type", "multipart/form-data; boundary="+boundary, "User-Agent", "sfdx toolbelt")
}
