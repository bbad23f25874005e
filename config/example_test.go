package config_test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/config"
)

// All faults are told at once, each with its variable.
func ExampleLoad() {
	c, err := config.Load([]string{"HOME=/home/sp", "SALLYPORT_TOKEN_WAIT=5s"})
	fmt.Println(c.StateDir, c.TokenWait, err)

	_, err = config.Load([]string{"HOME=/home/sp", "SALLYPORT_TOKEN_WAIT=soon", "SALLYPORT_STATEDIR=/state"})
	fmt.Println(errors.Is(err, config.ErrInvalid))
	fmt.Println(err)
	// Output:
	// /home/sp/.local/state/sallyport 5s <nil>
	// true
	// the environment is wrong:
	//   SALLYPORT_STATEDIR: there is no such variable; the nearest one is SALLYPORT_STATE_DIR
	//   SALLYPORT_TOKEN_WAIT: "soon" is no duration, as 30s, 5m or 600h
}

// Secrets come by reference. A fault names the file's line.
func ExampleParseResources() {
	options := config.ResourceOptions{LookupEnv: func(name string) (string, bool) { return "3MVG9", name == "SF_CLIENT_ID" }}
	app := "apps:\n  - {name: acme-sync, clientId: env:SF_CLIENT_ID}\n"
	change, err := config.ParseResources(strings.NewReader(app), "resources.yaml", options)
	fmt.Println(change.Apps[0].Name, change.Apps[0].ClientID, err)

	org := "orgs:\n  - {name: acme, app: acme-sync, loginUrl: 'http://acme.my.salesforce.com'}\n"
	_, err = config.ParseResources(strings.NewReader(app+org), "resources.yaml", options)
	fmt.Println(err)
	// Output:
	// acme-sync 3MVG9 <nil>
	// nothing was applied:
	//   resources.yaml:4: orgs[0].loginUrl: its scheme is "http"; tokens go by https only
}
