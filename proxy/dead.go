package proxy

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/sallyport/sallyport/proxy/soap"
)

// maxJudged is how much of an answer is read to tell a dead session, in bytes.
const maxJudged = 64 << 10

// mayBeDead reports whether an answer has the status that a dead session has in its API (salesforce.md, section 5),
// so that its body has to be judged.
func mayBeDead(c carrier, path string, status int) bool {
	switch status {
	case http.StatusUnauthorized:
		return true
	case http.StatusBadRequest:
		return c == carrierBulk
	case http.StatusForbidden:
		return isIdentity(path)
	case http.StatusInternalServerError:
		return c == carrierSOAP
	}
	return false
}

func isIdentity(path string) bool {
	return path == "/services/oauth2/userinfo" || strings.HasPrefix(path, "/id/")
}

// Texts that Salesforce says with INVALID_SESSION_ID when a new session would fare no better.
var incurable = [][]byte{
	[]byte("This session is not valid for use with the REST API"),
	[]byte("Connected app is not attached to Agent"),
}

// isDead judges an answer for which mayBeDead holds by its body, decoded.
func isDead(c carrier, path string, status int, body []byte) bool {
	for _, text := range incurable {
		if bytes.Contains(body, text) {
			return false
		}
	}
	switch status {
	case http.StatusUnauthorized:
		return restDead.Match(body) || c == carrierBulk && bulkDead.Match(body) || isIdentity(path) && identityDead(body)
	case http.StatusBadRequest:
		return bulkDead.Match(body)
	case http.StatusForbidden:
		return identityDead(body)
	case http.StatusInternalServerError:
		return soap.IsDead(body)
	}
	return false
}

// Where an API's error has its code. Only that place counts: an answer may quote the request's own text elsewhere, which
// in JSON and XML can't be written like these.
var (
	restDead = regexp.MustCompile(`"errorCode"\s*:\s*"INVALID_SESSION_ID"|<errorCode>\s*INVALID_SESSION_ID\s*</errorCode>`)
	bulkDead = regexp.MustCompile(`"exceptionCode"\s*:\s*"InvalidSessionId"|<exceptionCode>\s*InvalidSessionId\s*</exceptionCode>`)
)

func identityDead(body []byte) bool { return string(bytes.TrimSpace(body)) == "Bad_OAuth_Token" }

// peek reads up to maxJudged bytes of an answer's body, decodes them for a judgement, and puts them back.
func peek(resp *http.Response) []byte {
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxJudged))
	rest := io.Reader(resp.Body)
	if err != nil {
		rest = failing{err}
	}
	resp.Body = &putBack{Reader: io.MultiReader(bytes.NewReader(raw), rest), Closer: resp.Body}
	return decoded(raw, resp.Header.Get("Content-Encoding"))
}

// unzipped decodes gzip. What was cut short is judged as far as it goes.
func unzipped(r io.Reader) []byte {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil
	}
	b, _ := io.ReadAll(io.LimitReader(z, maxJudged))
	return b
}

type putBack struct {
	io.Reader
	io.Closer
}

// failing gives the error that ended a body while it was judged, where it happened.
type failing struct{ err error }

// Read implements io.Reader.
func (f failing) Read([]byte) (int, error) { return 0, f.err }
