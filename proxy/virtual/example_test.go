package virtual_test

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/proxy/virtual"
)

func Example() {
	r, err := http.NewRequest(http.MethodPost, "https://login.salesforce.com/services/oauth2/token",
		strings.NewReader("grant_type=refresh_token&refresh_token=whatever&client_id=whatever"))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")

	kind, _ := virtual.Endpoint(r.URL.Path)
	request, refusal := virtual.ParseToken(r)
	if refusal != nil {
		panic(refusal)
	}
	fmt.Println(kind, request.Grant)

	// The proxy knows the client and has chosen the org.
	key := make([]byte, virtual.KeySize) // Derived from the deployment's secret, the same in every replica.
	placeholders, err := virtual.New(key)
	if err != nil {
		panic(err)
	}
	claim := virtual.Claim{Client: "billing", ClientStamp: "3f9c", Org: "acme-prod",
		OrganizationID: "00DWt00000B2V4bMAF", Issued: time.UnixMilli(1758701441120)}
	token, err := placeholders.Make(claim)
	if err != nil {
		panic(err)
	}
	identity := "https://login.salesforce.com/id/00DWt00000B2V4bMAF/005Wt000004d0fNIAQ"
	contentType, body := virtual.Answer{
		Grant: request.Grant, AccessToken: secret.NewText(token), InstanceURL: "https://acme.my.salesforce.com",
		IdentityURL: identity, IssuedAt: claim.Issued, Scope: "api", Signature: placeholders.Sign(identity, claim.Issued),
	}.Render(request.Format)
	fmt.Println(contentType, strings.Contains(string(body), `"issued_at":"1758701441120"`))

	// Later, the client calls the API with it.
	opened, ok := placeholders.Open(token)
	fmt.Println(opened.Client, opened.Org, ok)
	// Output:
	// token refresh_token
	// application/json;charset=UTF-8 true
	// billing acme-prod true
}
