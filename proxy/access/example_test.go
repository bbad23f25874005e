package access_test

import (
	"fmt"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/proxy/access"
)

// A client reaches what its lines in the resources file name and nothing else.
// What is judged is the canonical path, and that is what is sent.
func ExamplePolicy_Check() {
	p := access.NewPolicy(&registry.Client{Name: "billing", Methods: []string{"GET"}, Paths: []string{"/services/data/"}})
	for _, r := range []struct{ method, path string }{
		{"GET", "/services//data/v65.0/sobjects/Account"},
		{"DELETE", "/services/data/v65.0/sobjects/Account/001"},
		{"GET", "/services/apexrest/anything"},
		{"GET", "/services/data/..%2Foauth2/token"},
	} {
		path, _, refusal := access.Canonical(r.path)
		if refusal == nil {
			refusal = p.Check(access.Request{Method: r.method, Path: path})
		}
		if refusal != nil {
			fmt.Println(refusal)
			continue
		}
		fmt.Println("allowed:", path)
	}
	// Output:
	// allowed: /services/data/v65.0/sobjects/Account
	// request_not_allowed: this client may not use the method DELETE: methods of the client says what it may
	// request_not_allowed: this client may not reach the path /services/apexrest/anything: paths of the client says what it may
	// bad_request: the path has an encoded slash
}
