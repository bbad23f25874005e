package sfsim_test

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/sallyport/sallyport/internal/sfsim"
)

// A replay of a rotated-out refresh token, and what the ledger says of it.
func Example() {
	sf, err := sfsim.New(sfsim.Options{})
	if err != nil {
		panic(err)
	}
	if err := sf.AddApp(sfsim.App{ClientID: "key", RTR: true}); err != nil {
		panic(err)
	}
	if _, err := sf.AddOrg(sfsim.Org{Host: "acme.my.salesforce.com"}); err != nil {
		panic(err)
	}
	grant, err := sf.Authorize("key", "acme.my.salesforce.com", "")
	if err != nil {
		panic(err)
	}
	client := &http.Client{Transport: sf.Transport("192.0.2.1:1")}
	for range 2 {
		resp, err := client.PostForm("https://acme.my.salesforce.com/services/oauth2/token",
			url.Values{"grant_type": {"refresh_token"}, "refresh_token": {grant.RefreshToken}, "client_id": {"key"}})
		if err != nil {
			panic(err)
		}
		_ = resp.Body.Close()
		fmt.Println(resp.StatusCode)
	}
	l := sf.Ledger()
	fmt.Println(l.Exchanges, "exchange,", l.Replays, "replay, access token alive:", sf.AccessAlive(grant.AccessToken))
	// Output:
	// 200
	// 400
	// 1 exchange, 1 replay, access token alive: false
}
