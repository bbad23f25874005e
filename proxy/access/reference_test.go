package access_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/proxy/access"
)

func TestReferencesInTheURLsOfSubRequests(t *testing.T) {
	free := &registry.Client{}
	narrow := &registry.Client{Composite: true, Paths: []string{"/services/data/v65.0/sobjects/Account", "/services/apexrest/orders/"}}
	reports := &registry.Client{Composite: true, Paths: narrow.Paths, Mode: registry.ModeReport}
	for _, tt := range []struct {
		name    string
		client  *registry.Client
		body    string
		refused bool
	}{
		{"an id of a record", free, `"url":"/services/data/v65.0/sobjects/Contact/@{new.id}"`, false},
		{"an id below an allowed path", narrow, `"url":"/services/data/v65.0/sobjects/Account/@{new.id}"`, false},
		{"more behind it", narrow, `"url":"/services/data/v65.0/sobjects/Account/@{new.id}/@{other.id}"`, false},
		{"in a query", narrow, `"url":"/services/data/v65.0/query?q=SELECT+Id+FROM+Contact+WHERE+AccountId='@{new.id}'"`, false},
		{"in a record's field", narrow, `"body":{"AccountId":"@{new.id}","a":"url"},"url":"/services/data/v65.0/limits"`, false},
		{"an object that isn't allowed", narrow, `"url":"/services/data/v65.0/sobjects/Contact/@{new.id}"`, true},
		{"in the middle of an allowed name", narrow, `"url":"/services/data/v65.0/sobjects/Account@{new.Name}/x"`, true},
		{"instead of the object", free, `"url":"/services/data/v65.0/sobjects/@{new.Name}/1"`, true},
		{"instead of the object, two slashes before it", free, `"url":"/services/data/v65.0//sobjects//@{new.Name}/1"`, true},
		{"instead of the resource", free, `"url":"/services/data/v65.0/@{new.Name}/oauth/credentials"`, true},
		{"on its way to an app's secrets", free, `"url":"/services/data/v65.0/apps/@{new.Name}/credentials"`, true},
		{"instead of the whole", free, `"url":"@{new.Website}"`, true},
		{"the key in another case", free, `"URL" : "@{new.Website}"`, true},
		{"the key with a JSON escape", free, `"\u0075rl":"@{new.Website}"`, true},
		{"the reference with JSON escapes", free, `"url":"/services/\u0040\u007bnew.Name}"`, true},
		{"the reference with percent-escapes", free, `"url":"/services/%40%7Bnew.Name}"`, true},
		{"dots on the way", narrow, `"url":"/services/data/v65.0/sobjects/Account/../@{new.Name}"`, true},
		{"behind another url", narrow, `"url":"/services/data/v65.0/limits"},{"url":"/services/@{new.Name}"`, true},
		{"Apex REST", narrow, `"url":"/services/apexrest/orders/@{new.id}"`, false},
		{"in report mode too", reports, `"url":"@{new.Website}"`, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := `{"compositeRequest":[{"method":"GET","referenceId":"r",` + tt.body + `}]}`
			_, err := io.ReadAll(access.NewPolicy(tt.client).Scan(io.NopCloser(iotest.OneByteReader(strings.NewReader(body)))))
			var refusal *access.RefusalError
			if errors.As(err, &refusal) != tt.refused || !tt.refused && err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
}
