package soap_test

import (
	"testing"

	"github.com/sallyport/sallyport/proxy/soap"
)

func TestOnlyOneXMLDocumentInUTF8IsRead(t *testing.T) {
	for _, c := range []struct {
		contentType string
		want        soap.Kind
	}{
		{"text/xml", 0},
		{"text/xml; charset=utf-8", 0},
		{"text/xml; charset=\"UTF-8\"", 0},
		{"Application/XML ;Charset=utf-8", 0},
		{`application/soap+xml; charset=utf-8; action="query"`, 0},
		{"text/xml; charset=utf-7", soap.Encoding},
		{"text/xml; charset=utf-16", soap.Encoding},
		{"text/xml; charset=iso-8859-1", soap.Encoding},
		{"text/xml; charset=", soap.Malformed},
		{"text/xml; charset=utf-8; charset=utf-7", soap.Malformed},
		{"", soap.Malformed},
		{"application/json", soap.Malformed},
		{`multipart/related; type="application/xop+xml"; boundary=b`, soap.Malformed},
		{"text/xml, application/json", soap.Malformed},
	} {
		if got := kindOf(soap.CheckContentType(c.contentType)); got != c.want {
			t.Errorf("%s: kind %d, want %d", c.contentType, got, c.want)
		}
	}
}
