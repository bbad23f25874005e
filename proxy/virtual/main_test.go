package virtual_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/proxy/virtual"
)

const (
	formType     = "application/x-www-form-urlencoded"
	organization = "00DWt00000B2V4bMAF"
	user         = "005Wt000004d0fNIAQ"
	identity     = "https://login.salesforce.com/id/" + organization + "/" + user
	instance     = "https://acme.my.salesforce.com"
)

var issued = time.UnixMilli(1758701441120).UTC()

func claim() virtual.Claim {
	return virtual.Claim{Client: "billing", ClientStamp: "3f9c", Org: "acme-prod", OrganizationID: organization, Issued: issued}
}

func placeholders(t testing.TB) *virtual.Placeholders {
	t.Helper()
	key := make([]byte, virtual.KeySize)
	for i := range key {
		key[i] = byte(i)
	}
	p, err := virtual.New(key)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func placeholder(t testing.TB, p *virtual.Placeholders) secret.Text {
	t.Helper()
	s, err := p.Make(claim())
	if err != nil {
		t.Fatal(err)
	}
	return secret.NewText(s)
}

// request is one to path, with the headers given as names and values in turn.
func request(t testing.TB, method, target, body string, headers ...string) *http.Request {
	t.Helper()
	var b io.Reader
	if body != "" {
		b = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, target, b)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func post(t testing.TB, target, form string, headers ...string) *http.Request {
	t.Helper()
	return request(t, http.MethodPost, target, form, append([]string{"Content-Type", formType}, headers...)...)
}

// contains reports whether any of texts has s, in any case.
func contains(s string, texts ...[]byte) bool {
	for _, text := range texts {
		if bytes.Contains(bytes.ToLower(text), []byte(strings.ToLower(s))) {
			return true
		}
	}
	return false
}
