package soap_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/proxy/soap"
)

// pieces are what FuzzPieces makes envelopes of. Chance alone hardly ever makes one that is accepted.
var pieces = []string{
	"<SessionHeader>", "</SessionHeader>", "<sessionId>", "</sessionId>", "mine", "<sessionId/>", "<SessionHeader/>",
	"<p:SessionHeader xmlns:p='urn:p'>", "</p:SessionHeader>", "<p:sessionId xmlns:p='urn:q' >", "</p:sessionId\n>", "<e:sessionId/>",
	"<sessionID/>", "<X>", "</X>", "<X/>", "<X a='b' c=\"d\">", "<X xmlns='urn:z'>", "<X xmlns:e='urn:e'>", "<e:X>", "</e:X>",
	"<X xmlns=''>", " xsi:nil='true'", "<sessionId xsi:type='e:string' />", "<sessionId xsi:nil='1'/>", "<sessionId href='#a'/>",
	"<!--", "-->", "--", "-", "<![CDATA[", "]]>", "]]", "]", ">", "<", "/>", "</", "&amp;", "&#65;", "&", ";", "'", "\"", "=",
	"a='>'", "xmlns:q='urn:q'", " ", "\n", "é", "\xc3", "\xa9", "\ufeff", "\x00",
	"<e:Header>", "</e:Header>", "<e:Body>", "</e:Body>", "<e:Envelope xmlns:e='" + soap11 + "'>", "</e:Envelope>",
	"<query>", "</query>", "<q>", "</q>", "<?a?>", "<!DOCTYPE a>", "<a:b", "<a.-b>", "</a.-b>",
}

// FuzzPieces holds the law of FuzzRead for envelopes made of pieces: those up to 0xff stand in the Header, the others
// in the Body, which ends as it must unless there are more.
func FuzzPieces(f *testing.F) {
	index := func(texts ...string) (out []byte) {
		for _, text := range texts {
			for i, p := range pieces {
				if p == text {
					out = append(out, byte(i))
				}
			}
		}
		return out
	}
	good := index("<SessionHeader>", "<sessionId>", "mine", "</sessionId>", "</SessionHeader>")
	f.Add(append(append(bytes.Clone(good), 0xff), index("<query>", "<q>", "é", "</q>", "</query>")...))
	f.Add(append(append(append(index("<X>", "<!--"), good...), index("-->", "</X>")...), good...))
	f.Add(append(append(append(index("<X>", "<![CDATA["), good...), index("]]>", "</X>")...), good...))
	f.Add(append(append(bytes.Clone(good), 0xff), index("<query>", "</query>", "</e:Body>", "<e:Header>", "<SessionHeader>", "<sessionId/>", "</SessionHeader>", "</e:Header>", "<e:Body>")...))
	f.Add(index("<p:SessionHeader xmlns:p='urn:p'>", "<p:sessionId xmlns:p='urn:q' >", "&amp;", "</p:sessionId\n>", "</p:SessionHeader>"))
	f.Fuzz(func(t *testing.T, choice []byte) {
		var header, body strings.Builder
		to := &header
		for _, c := range choice[:min(len(choice), 64)] {
			if c == 0xff {
				to = &body
				continue
			}
			to.WriteString(pieces[int(c)%len(pieces)])
		}
		if body.Len() == 0 {
			body.WriteString("<query/>")
		}
		document := `<e:Envelope xmlns:e="` + soap11 + `" xmlns="urn:p" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><e:Header>` +
			header.String() + "</e:Header><e:Body>" + body.String() + "</e:Body></e:Envelope>"
		h, out, err := through(strings.NewReader(document), token)
		if err != nil {
			if kindOf(err) == 0 {
				t.Fatalf("%v is no Error", err)
			}
			return
		}
		if changed := document[:h.Session.Start] + out[h.Session.Start:len(out)-len(document)+h.Session.End] + document[h.Session.End:]; changed != out {
			t.Fatalf("more than the session changed:\n%s\n%s", document, out)
		}
		if again, err := soap.Read(strings.NewReader(out)); err != nil || out[again.Session.Start:again.Session.End] != written(t, token) {
			t.Fatalf("the filled envelope isn't read as itself: %v\n%s", err, out)
		}
		judge(t, out, token, h.Operation)
	})
}
