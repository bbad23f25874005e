package soap_test

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/proxy/soap"
)

func TestTheSessionOfEveryClientIsFilledAndNothingElseChanges(t *testing.T) {
	const partner, enterprise, metadata = "urn:partner.soap.sforce.com", "urn:enterprise.soap.sforce.com", "http://soap.sforce.com/2006/04/metadata"
	operations := map[string]xml.Name{
		"axis-partner":               {Space: partner, Local: "query"},
		"dotnet-enterprise":          {Space: enterprise, Local: "describeSObject"},
		"jsforce-apex":               {Space: "http://soap.sforce.com/2006/08/apex", Local: "executeAnonymous"},
		"jsforce-metadata":           {Space: metadata, Local: "deploy"},
		"jsforce-partner":            {Space: partner, Local: "convertLead"},
		"jsforce-tooling":            {Space: "urn:tooling.soap.sforce.com", Local: "describeValueType"},
		"php-partner":                {Space: partner, Local: "describeGlobal"},
		"simple-salesforce-metadata": {Space: metadata, Local: "checkDeployStatus"},
		"soaplite-partner":           {Space: partner, Local: "queryMore"},
		"wcf-apexclass":              {Space: "http://soap.sforce.com/schemas/class/Billing/Invoices", Local: "settle"},
		"wcf-enterprise":             {Space: enterprise, Local: "query"},
		"wcf-soap12":                 {Space: partner, Local: "getServerTimestamp"},
		"wsc-enterprise":             {Space: enterprise, Local: "query"},
		"wsc-metadata":               {Space: metadata, Local: "describeMetadata"},
		"wsc-partner":                {Space: partner, Local: "create"},
		"zeep-metadata":              {Space: metadata, Local: "listMetadata"},
		"zeep-partner":               {Space: partner, Local: "getUserInfo"},
	}
	all := envelopes(t)
	delete(all, "login")
	for name, body := range all {
		t.Run(name, func(t *testing.T) {
			for how, r := range map[string]io.Reader{
				"whole": strings.NewReader(body), "byte by byte": iotest.OneByteReader(strings.NewReader(body)),
			} {
				h, out, err := through(r, token)
				if err != nil {
					t.Fatalf("%s: %v", how, err)
				}
				if got := string(h.Raw[h.Session.Start:h.Session.End]); got != placeholder {
					t.Errorf("%s: the session is %q", how, got)
				}
				if diff := cmp.Diff(operations[name], h.Operation); diff != "" {
					t.Errorf("%s: operation: %s", how, diff)
				}
				want := strings.Replace(body, placeholder, strings.ReplaceAll(token, "'", "&#39;"), 1)
				if diff := cmp.Diff(want, out); diff != "" {
					t.Errorf("%s: %s", how, diff)
				}
				if got, want := h.Delta(token), int64(len(out)-len(body)); got != want {
					t.Errorf("%s: Delta is %d, the body grew by %d", how, got, want)
				}
			}
		})
	}
}

func TestALoginTellsItsOperationWithoutASession(t *testing.T) {
	h, err := soap.Read(strings.NewReader(envelopes(t)["login"]))
	if kindOf(err) != soap.NoSession {
		t.Errorf("the error is %v", err)
	}
	if want := (xml.Name{Space: "urn:partner.soap.sforce.com", Local: "login"}); h.Operation != want {
		t.Errorf("the operation is %v", h.Operation)
	}
	if got := string(h.Fill(token)); got != string(h.Raw) || h.Delta(token) != 0 {
		t.Errorf("something was filled: %s", got)
	}
}

func TestWhatASessionMayLookLike(t *testing.T) {
	for _, c := range []struct{ name, block, want string }{
		{"text", `<sessionId>a</sessionId>`, `<sessionId>T</sessionId>`},
		{"nothing", `<sessionId></sessionId>`, `<sessionId>T</sessionId>`},
		{"an empty element", `<sessionId/>`, `<sessionId>T</sessionId>`},
		{"an empty element with a prefix, a namespace and white space",
			"<p:sessionId xmlns:p='urn:x'\n/>", "<p:sessionId xmlns:p='urn:x'\n>T</p:sessionId>"},
		{"an empty element with a type that names its own prefix",
			`<sessionId xmlns:x="http://www.w3.org/2001/XMLSchema" xsi:type="x:string" />`,
			`<sessionId xmlns:x="http://www.w3.org/2001/XMLSchema" xsi:type="x:string" >T</sessionId>`},
		{"a CDATA section with a tag", `<sessionId><![CDATA[</sessionId>]]]]></sessionId>`, `<sessionId>T</sessionId>`},
		{"references", `<sessionId>&lt;&#x41;&#0065;&amp;</sessionId>`, `<sessionId>T</sessionId>`},
		{"a comment with a tag", `<sessionId>a<!-- <sessionId> - </sessionId> -->b</sessionId>`, `<sessionId>T</sessionId>`},
		{"white space in the tags", "<sessionId\r\n>\t</sessionId\n>", "<sessionId\r\n>T</sessionId\n>"},
		{"a namespace of its own", `<sessionId xmlns="urn:other">a</sessionId>`, `<sessionId xmlns="urn:other">T</sessionId>`},
		{"a prefix bound anew", `<e:sessionId xmlns:e="urn:other">a</e:sessionId>`, `<e:sessionId xmlns:e="urn:other">T</e:sessionId>`},
		{"a > in text", `<sessionId>a>]]&gt;</sessionId>`, `<sessionId>T</sessionId>`},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := envelope("<!-- <sessionId>no</sessionId> -->\r\n<X a='&quot;&#10;>'>é<Y><![CDATA[<sessionId>no</sessionId>]]></Y></X><SessionHeader>" + c.block + "</SessionHeader>")
			for _, r := range []io.Reader{strings.NewReader(in), iotest.OneByteReader(strings.NewReader(in))} {
				h, out, err := through(r, "T")
				if err != nil {
					t.Fatal(err)
				}
				want := strings.Replace(in, c.block, c.want, 1)
				if diff := cmp.Diff(want, out); diff != "" {
					t.Error(diff)
				}
				if got := h.Delta("T"); got != int64(len(want)-len(in)) {
					t.Errorf("Delta is %d", got)
				}
			}
		})
	}
}

func TestWhatAnEnvelopeMayLookLike(t *testing.T) {
	for _, c := range []struct{ name, body string }{
		{"a byte order mark", "\xef\xbb\xbf" + envelope(session)},
		{"a byte order mark and an XML declaration", "\xef\xbb\xbf<?xml version='1.0' encoding='utf-8' standalone='yes' ?>\r\n" + envelope(session)},
		{"white space and comments around the envelope", " \n<!-- a -->\n" + envelope(session) + "\n<!-- b - -->\n"},
		{"a comment between Body and operation", within(t, `<query`, `<!-- <x> --> <query`)},
		{"comments and white space behind the operation", within(t, `</query>`, `</query> <!-- <x/> --> `)},
		{"sections, comments and quotes in the operation", within(t, `<q>`, "<z y = '>\"' x=\"/>'\" /><ä/>\n<![CDATA[</query>]]]>]]><!-- </query> - --><q >")},
		{"an empty operation", within(t, `<query a="b"><q>SELECT Id FROM Account</q></query>`, `<query a="b" />`)},
		{"the prefix xml declared as it is", within(t, "<SessionHeader>", `<X xmlns:xml="http://www.w3.org/XML/1998/namespace" xml:lang="de"/><SessionHeader>`)},
		{"an operation behind the end of the largest head", within(t, "<query", strings.Repeat(" ", soap.MaxHead)[len(envelope(session)):]+strings.Repeat(" ", 2<<10)+"<query")},
		{"the session in a text of the operation", within(t, `</q>`, `<SessionHeader><sessionId/></SessionHeader></q>`)},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(c.body), iotest.OneByteReader(strings.NewReader(c.body))} {
				_, out, err := through(r, "T")
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(strings.Replace(c.body, ">mine<", ">T<", 1), out); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestASessionIsEscaped(t *testing.T) {
	h, err := soap.Read(strings.NewReader(envelope(session)))
	if err != nil {
		t.Fatal(err)
	}
	out := string(h.Fill("a</sessionId>&\"'\n\x00"))
	if want := `<sessionId>a&lt;/sessionId&gt;&amp;&#34;&#39;&#xA;` + "\ufffd</sessionId>"; !strings.Contains(out, want) {
		t.Error(out)
	}
	if h2, err := soap.Read(strings.NewReader(out)); err != nil || h2.Operation != h.Operation {
		t.Errorf("%v, %v", h2.Operation, err)
	}
}

func TestABodyThatFailsIsNoFaultOfTheEnvelope(t *testing.T) {
	broken := errors.New("broken")
	whole := envelope(session)
	for n := range len(whole) {
		r := io.MultiReader(strings.NewReader(whole[:n]), iotest.ErrReader(broken))
		if _, _, err := through(r, "T"); !errors.Is(err, broken) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	if _, err := soap.Read(idle{}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("of a reader that never reads: %v", err)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func TestABodyThatEndsEarlyIsCutWhereverItEnds(t *testing.T) {
	whole := "<?xml version='1.0'?>" + envelope("<!-- é --><X a='&amp;'><![CDATA[é]]></X>"+session)
	whole = strings.Replace(whole, "<q>", "<!-- é --><q><![CDATA[é]]>", 1)
	for n := range len(whole) {
		for _, r := range []io.Reader{strings.NewReader(whole[:n]), iotest.OneByteReader(strings.NewReader(whole[:n]))} {
			if _, _, err := through(r, "T"); kindOf(err) != soap.Cut {
				t.Fatalf("cut at %d: %v", n, err)
			}
		}
	}
}

func TestEveryAttemptHasARestOfItsOwn(t *testing.T) {
	whole := within(t, "<q>", "<q>"+strings.Repeat("x", 10_000))
	h, err := soap.Read(strings.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		left := whole[len(h.Raw):]
		if rest, err := io.ReadAll(h.Rest(strings.NewReader(left))); err != nil || string(rest) != left {
			t.Errorf("%d bytes, %v", len(rest), err)
		}
	}
}
