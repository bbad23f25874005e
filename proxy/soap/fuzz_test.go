package soap_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sallyport/sallyport/proxy/soap"
)

// FuzzRead holds the law: of what is accepted, all but the session's content comes out as it went in, however it comes
// in, and another reader finds that one session there.
func FuzzRead(f *testing.F) {
	for _, body := range envelopes(f) {
		f.Add([]byte(body), token)
	}
	for _, c := range append(attacks(f), followers(f)...) {
		if len(c.body) < 4<<10 { // Larger ones only make it slow.
			f.Add([]byte(c.body), "T")
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, session string) {
		h, out, err := through(bytes.NewReader(body), session)
		slow, slowOut, slowErr := through(iotest.OneByteReader(bytes.NewReader(body)), session)
		if (err == nil) != (slowErr == nil) {
			t.Fatalf("whole: %v, byte by byte: %v", err, slowErr)
		}
		if err != nil {
			return
		}
		if out != slowOut || h.Session != slow.Session || h.Operation != slow.Operation {
			t.Fatalf("whole and byte by byte differ:\n%s\n%s", out, slowOut)
		}
		if len(out) != len(body)+int(h.Delta(session)) {
			t.Fatalf("%d bytes became %d, Delta is %d", len(body), len(out), h.Delta(session))
		}
		after := len(body) - h.Session.End
		if out[:h.Session.Start] != string(body[:h.Session.Start]) || out[len(out)-after:] != string(body[h.Session.End:]) {
			t.Fatalf("more than the session changed:\n%s\n%s", body, out)
		}
		again, same, err := through(strings.NewReader(out), session)
		if err != nil || same != out {
			t.Fatalf("the filled envelope isn't read as itself: %v\n%s", err, out)
		}
		content := out[again.Session.Start:again.Session.End]
		if want := written(t, session); content != want && unescape(t, content) != unescape(t, want) {
			t.Fatalf("the session is %q, want %q", content, want)
		}
		judge(t, out, unescape(t, written(t, session)), h.Operation)
	})
}

// FuzzIsDead holds that another reader finds the code too.
func FuzzIsDead(f *testing.F) {
	for _, code := range []string{"sf:INVALID_SESSION_ID", "sf:MALFORMED_QUERY", "<!---->x"} {
		f.Add([]byte(fault11("<faultcode>" + code + "</faultcode><faultstring>&lt;</faultstring>")))
		f.Add([]byte(fault12("<soapenv:Code><soapenv:Value>" + code + "</soapenv:Value></soapenv:Code>")))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !soap.IsDead(body) {
			return
		}
		d := xml.NewDecoder(bytes.NewReader(body))
		var path []string
		for {
			token, err := d.Token()
			if err != nil {
				t.Fatalf("%v before a code", err)
			}
			switch e := token.(type) {
			case xml.StartElement:
				path = append(path, e.Name.Local)
			case xml.EndElement:
				path = path[:len(path)-1]
			case xml.CharData:
				at := strings.Join(path, "/")
				if strings.HasSuffix(strings.TrimSpace(string(e)), "INVALID_SESSION_ID") && strings.HasPrefix(at, "Envelope/Body/Fault/") &&
					(strings.HasSuffix(at, "/faultcode") || strings.HasSuffix(at, "/Value")) {
					return
				}
			}
		}
	})
}

// written is session as an XML writer writes it.
func written(t *testing.T, session string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(session)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func unescape(t *testing.T, content string) string {
	var v string
	if err := xml.Unmarshal([]byte("<v>"+content+"</v>"), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// judge reads a document with encoding/xml. Up to the operation it must be well-formed and hold one session; behind it,
// where only the structure was judged, it must be the one operation of the one Body as far as encoding/xml gets.
func judge(t *testing.T, document, session string, operation xml.Name) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(document))
	var path []xml.Name
	var found []string
	headers, bodies, operations := 0, 0, 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) || err != nil && operations == 1 {
			break
		}
		if err != nil {
			t.Fatalf("encoding/xml: %v\n%s", err, document)
		}
		switch e := token.(type) {
		case xml.StartElement:
			path = append(path, e.Name)
			inHeader := len(path) > 1 && path[1].Local == "Header"
			switch {
			case len(path) == 2 && e.Name.Local == "Header":
				headers++
			case len(path) == 2:
				bodies++
			case len(path) == 3 && !inHeader:
				if operations++; e.Name != operation {
					t.Fatalf("the operation is %v, want %v", e.Name, operation)
				}
			case inHeader && strings.EqualFold(e.Name.Local, "sessionId"):
				found = append(found, "")
				if len(path) != 4 || path[0].Local != "Envelope" || path[2].Local != "SessionHeader" {
					t.Fatalf("a sessionId stands at %v\n%s", path, document)
				}
			}
		case xml.EndElement:
			path = path[:len(path)-1]
		case xml.CharData:
			if len(path) == 4 && path[1].Local == "Header" && path[3].Local == "sessionId" {
				found[len(found)-1] += string(e)
			}
		case xml.Directive, xml.ProcInst:
			if p, ok := e.(xml.ProcInst); !ok || p.Target != "xml" {
				t.Fatalf("there is a directive or a processing instruction\n%s", document)
			}
		}
	}
	if headers != 1 || bodies != 1 || operations != 1 || len(found) != 1 || found[0] != session {
		t.Fatalf("%d headers, %d bodies, %d operations, sessions %q, want %q\n%s", headers, bodies, operations, found, session, document)
	}
}
