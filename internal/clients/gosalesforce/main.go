// Command gosalesforce uses k-capehart/go-salesforce. Its own transport knows no
// proxy, so that it is given one that does.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/k-capehart/go-salesforce/v3"
)

func main() {
	var sf *salesforce.Salesforce
	for range time.Tick(300 * time.Millisecond) {
		if _, err := os.Stat(os.Getenv("STOP")); err == nil {
			return
		}
		said := map[string]any{"ok": true}
		if err := round(&sf); err != nil {
			said = map[string]any{"ok": false, "error": err.Error()}
		}
		if err := json.NewEncoder(os.Stdout).Encode(said); err != nil || os.Getenv("ONCE") != "" {
			return
		}
	}
}

type account struct {
	ID   string `salesforce:"Id"`
	Name string `salesforce:"Name"`
}

// round finds, makes and loads records. The first one logs in.
func round(sf **salesforce.Salesforce) error {
	if *sf == nil {
		got, err := salesforce.Init(salesforce.Creds{Domain: os.Getenv("INSTANCE_URL"), AccessToken: os.Getenv("ACCESS_TOKEN")},
			salesforce.WithRoundTripper(&http.Transport{Proxy: http.ProxyFromEnvironment})) // WithAPIVersion breaks its paging
		if err != nil {
			return err
		}
		*sf = got
	}
	var found []account
	if err := (*sf).Query("SELECT Id, Name FROM Account LIMIT 2100", &found); err != nil {
		return err
	}
	if len(found) != 2100 {
		return fmt.Errorf("found %d records", len(found))
	}
	made, err := (*sf).InsertOne("Account", map[string]any{"Name": "Acme"})
	if err != nil || !made.Success {
		return fmt.Errorf("insert: %v %w", made, err)
	}
	if err := (*sf).UpdateOne("Account", account{ID: made.Id, Name: "Acme 2"}); err != nil {
		return err
	}
	several, err := (*sf).InsertCollection("Account", []map[string]any{{"Name": "a"}, {"Name": "b"}}, 200)
	if err != nil || several.HasSalesforceErrors {
		return fmt.Errorf("collection: %v %w", several, err)
	}
	jobs, err := (*sf).InsertBulk("Account", []map[string]any{{"Name": "a"}, {"Name": "b"}}, 100, false)
	if err != nil || len(jobs) != 1 {
		return fmt.Errorf("bulk: %v %w", jobs, err)
	}
	return nil
}
