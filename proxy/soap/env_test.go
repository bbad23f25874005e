package soap_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/proxy/soap"
)

const (
	soap11 = `http://schemas.xmlsoap.org/soap/envelope/`
	soap12 = `http://www.w3.org/2003/05/soap-envelope`

	// placeholder is what the clients of testdata/envelopes send.
	placeholder = "00D000000000001!placeholder.of_the-client"
	token       = "00D000000000001!AQ.the_org's own token"
	session     = `<SessionHeader><sessionId>mine</sessionId></SessionHeader>`
)

// envelope returns a request with these header blocks.
func envelope(header string) string {
	return `<e:Envelope xmlns:e="` + soap11 + `" xmlns="urn:partner.soap.sforce.com" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">` +
		`<e:Header>` + header + `</e:Header><e:Body><query a="b"><q>SELECT Id FROM Account</q></query></e:Body></e:Envelope>`
}

// within replaces the first part of a good request; the part must be there.
func within(t testing.TB, part, by string) string {
	t.Helper()
	whole := envelope(session)
	if !strings.Contains(whole, part) {
		t.Fatalf("the request has no %q", part)
	}
	return strings.Replace(whole, part, by, 1)
}

// envelopes returns what real clients send, by the files' names.
func envelopes(t testing.TB) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/envelopes/*.xml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no envelopes: %v", err)
	}
	all := make(map[string]string)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(f), ".xml")] = string(b)
	}
	return all
}

// through reads all of r as a proxy does, and returns what would reach Salesforce.
func through(r io.Reader, session string) (soap.Head, string, error) {
	h, err := soap.Read(r)
	if err != nil {
		return h, "", err
	}
	rest, err := io.ReadAll(h.Rest(r))
	return h, string(h.Fill(session)) + string(rest), err
}

func kindOf(err error) soap.Kind {
	var e *soap.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return 0
}
