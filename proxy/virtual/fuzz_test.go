package virtual_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/proxy/virtual"
)

var grants = map[virtual.Grant]bool{
	virtual.GrantRefreshToken: true, virtual.GrantAuthorizationCode: true, virtual.GrantClientCredentials: true,
	virtual.GrantPassword: true, virtual.GrantJWTBearer: true, virtual.GrantSAML2Bearer: true,
	virtual.GrantTokenExchange: true, virtual.GrantHybridRefresh: true,
}

// FuzzParseToken posts any query and body: urlencoded, multipart with the boundary x, or of any type. Whatever it is,
// no more than the limit is read, the answer is a known grant or an OAuth error in any format, and a value that the
// client sent is in neither.
func FuzzParseToken(f *testing.F) {
	types := []string{formType, "multipart/form-data; boundary=x"}
	f.Add(uint8(0), "", "grant_type=refresh_token&refresh_token=dummy&client_id=3MVG9", "", "")
	f.Add(uint8(0), "device_id=0a", "grant_type=hybrid_refresh&refresh_token=dummy", "", "application/xml")
	f.Add(uint8(0), "grant_type=refresh_token&refresh_token=dummy%3D&format=xml", "", "Basic YTpi", "")
	f.Add(uint8(1), "", "--x\r\nContent-Disposition: form-data; name=\"grant_type\"\r\n\r\ndevice\r\n--x--\r\n", "", "")
	f.Fuzz(func(t *testing.T, kind uint8, query, body, authorization, accept string) {
		contentType := body[:min(len(body), 40)]
		if int(kind) < len(types) {
			contentType = types[kind]
		}
		reader := &counter{r: strings.NewReader(body)}
		r := &http.Request{Method: http.MethodPost, URL: &url.URL{Path: "/services/oauth2/token", RawQuery: query},
			Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(reader), ContentLength: -1}
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		if accept != "" {
			r.Header.Set("Accept", accept)
		}
		got, err := virtual.ParseToken(r)
		if reader.n > limit+1 {
			t.Fatalf("%d bytes read", reader.n)
		}
		if err != nil {
			judgeRefusal(t, got, err, query+"\x00"+body)
			return
		}
		if !grants[got.Grant] || got.Format > virtual.URLEncoded {
			t.Fatalf("took %+v", got)
		}
		// net/http's own reading, where it has one, is the same.
		if form, perr := url.ParseQuery(query + "&" + body); kind == 0 && perr == nil {
			posted := strings.Join(form["grant_type"], "")
			if strings.ReplaceAll(posted, string(got.Grant), "") != "" || posted == "" {
				t.Fatalf("took %q for %q", posted, got.Grant)
			}
		}
	})
}

func judgeRefusal(t *testing.T, got virtual.TokenRequest, err *virtual.Error, sent string) {
	t.Helper()
	if got != (virtual.TokenRequest{}) || err.Status != 400 || err.Format > virtual.URLEncoded {
		t.Fatalf("got %+v, %+v", got, err)
	}
	contentType, body := err.Render()
	fields := decode(t, contentType, body)
	if fields["error"] != err.Code || fields["error_description"] != err.Description || len(fields) != 2 {
		t.Fatalf("the answer is %s", body)
	}
	descriptions[err.Description] = true
	if len(descriptions) > 40 {
		t.Fatalf("descriptions vary with what is sent, the last with %q: %s", sent, err.Description)
	}
}

// descriptions are those seen by one process: a fixed, small set if nothing that is sent goes into one. Fuzz targets run
// one at a time.
var descriptions = map[string]bool{}

type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += n
	return n, err
}

// FuzzOpen opens any text. Nothing opens but the one placeholder that the corpus holds, which was made under the test's
// key; what opens has the shape of one.
func FuzzOpen(f *testing.F) {
	f.Add(golden)
	f.Add("00DWt00000B2V4b!AQ4AQNBFU62TCNFV6TkN0mnq2Z1Cu5MhRp1wbC3sPVBPkk8vFNR1")
	p := placeholders(f)
	f.Fuzz(func(t *testing.T, s string) {
		claims, ok := p.Open(s)
		if ok != (s == golden) {
			t.Fatalf("opens: %t, %+v", ok, claims)
		}
		if ok && (claims != claim() || !virtual.IsPlaceholder(s)) {
			t.Fatalf("opens to %+v", claims)
		}
		if !ok && claims != (virtual.Claim{}) {
			t.Fatalf("doesn't open, and yet: %+v", claims)
		}
	})
}
