package admin_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
)

// The public handler serves /v1/ to who has the token, and health to everyone.
func ExampleNew() {
	ctx, m, b := context.Background(), new(memory), new(broker)
	r, err := registry.New(ctx, registry.Options{Store: m, Sealer: m})
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := admin.New(admin.Options{
		Registry: r, Grants: b, Enroller: b, Ender: b, History: history{}, CA: new(ca), ServeV1: true, Token: secret.NewText(adminToken),
		Ready: func(context.Context) admin.Readiness {
			return admin.Readiness{Status: admin.StatusUnready, Reasons: []string{"the store doesn't answer"}}
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, path := range []string{"/healthz", "/readyz", "/v1/orgs"} {
		rec := httptest.NewRecorder()
		s.Public().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil))
		fmt.Println(path, rec.Code)
	}
	// Output:
	// /healthz 200
	// /readyz 503
	// /v1/orgs 401
}

// A client sends its token, and whatever else is secret, to loopback, to the
// admin socket and over https only. Nothing leaves for another place.
func ExampleNewClient() {
	c, err := admin.NewClient(admin.ClientOptions{URL: "http://192.0.2.1:3129", Token: secret.NewText(adminToken)})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = c.Orgs(context.Background())
	var insecure *admin.InsecureError
	fmt.Println(errors.As(err, &insecure))
	fmt.Println(err)
	// Output:
	// true
	// http://192.0.2.1:3129 is neither loopback nor https: a secret isn't sent there; use an https:// URL
}
