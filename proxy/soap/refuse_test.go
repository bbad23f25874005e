package soap_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sallyport/sallyport/proxy/soap"
)

// refused is a request that must not be sent, since some reader might find another session in it than the proxy's.
type refused struct {
	name string
	body string
	want soap.Kind
}

func inSession(element string) string { return "<SessionHeader>" + element + "</SessionHeader>" }

// attacks stand in the head.
func attacks(t testing.TB) []refused {
	const id = "<sessionId>mine</sessionId>"
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	return []refused{
		// No XML, no envelope.
		{"an empty body", "", soap.Cut},
		{"JSON", `{"a":1}`, soap.Malformed},
		{"HTML", "<!doctype html><p>", soap.Malformed},
		{"another root", "<Envelope>" + session + "</Envelope>", soap.Malformed},
		{"an Envelope of no SOAP", strings.Replace(envelope(session), soap11, "urn:x", 1), soap.Malformed},
		{"an Envelope of SOAP in another case", strings.Replace(envelope(session), "soap/envelope", "SOAP/envelope", 1), soap.Malformed},
		{"an empty Envelope", `<Envelope xmlns="` + soap11 + `"/>`, soap.Malformed},
		{"an Envelope without a Body", `<Envelope xmlns="` + soap11 + `"><Header/></Envelope>`, soap.Malformed},
		{"an Envelope in an Envelope", envelope(envelope(session)), soap.ManySessions},
		{"an Envelope around an Envelope", `<Envelope xmlns="` + soap11 + `">` + envelope(session) + `</Envelope>`, soap.Malformed},
		{"a Header of the other SOAP", within(t, "<e:Header>", `<e:Header xmlns:e="`+soap12+`">`), soap.Malformed},
		{"a Header of no SOAP before the Header", within(t, "<e:Header>", "<Header>"+session+"</Header><e:Header>"), soap.Malformed},
		{"two Headers", within(t, "<e:Body>", "<e:Header/><e:Body>"), soap.Malformed},
		{"two Headers, the first without a session", within(t, "<e:Header>", "<e:Header/><e:Header>"), soap.Malformed},
		{"an empty Body", within(t, "<e:Body>", "<e:Body/><e:Body>"), soap.Malformed},
		{"a Body without an operation", within(t, "<e:Body>", "<e:Body> </e:Body><e:Body>"), soap.Malformed},
		{"text in the Envelope", within(t, "<e:Header>", "x<e:Header>"), soap.Malformed},
		{"text in the Header", within(t, "<SessionHeader>", "x<SessionHeader>"), soap.Malformed},
		{"text in the Body", within(t, "<query", "x<query"), soap.Malformed},
		{"a CDATA section in the Header", within(t, "<SessionHeader>", "<![CDATA[ ]]><SessionHeader>"), soap.Malformed},
		{"a white space of Unicode in the Header", within(t, "<SessionHeader>", "\u00a0<SessionHeader>"), soap.Malformed},
		{"a line's end of XML 1.1 in the Header", within(t, "<SessionHeader>", "\u0085<SessionHeader>"), soap.Malformed},
		{"a character reference in the Header", within(t, "<SessionHeader>", "&#32;<SessionHeader>"), soap.Malformed},
		{"a CDATA section before the root", "<![CDATA[ ]]>" + envelope(session), soap.Malformed},

		// No session.
		{"no Header", within(t, "<e:Header>"+session+"</e:Header>", ""), soap.NoSession},
		{"an empty Header", within(t, "<e:Header>"+session+"</e:Header>", "<e:Header/>"), soap.NoSession},
		{"a Header without a SessionHeader", envelope("<X/>"), soap.NoSession},
		{"an empty SessionHeader", envelope("<SessionHeader/>"), soap.NoSession},
		{"a SessionHeader without a sessionId", envelope("<SessionHeader> </SessionHeader>"), soap.NoSession},
		{"a session in a comment", envelope("<!--" + session + "-->"), soap.NoSession},
		{"a session in a CDATA section", envelope("<X><![CDATA[" + session + "]]></X>"), soap.NoSession},
		{"a session in an attribute", envelope("<X a='&lt;SessionHeader>'/>"), soap.NoSession},
		{"a Header after the Body", `<e:Envelope xmlns:e="` + soap11 + `"><e:Body><q/></e:Body><e:Header>` + session + `</e:Header></e:Envelope>`, soap.NoSession},

		// Two sessions.
		{"two SessionHeaders", envelope(session + session), soap.ManySessions},
		{"two SessionHeaders, the first empty", envelope("<SessionHeader/>" + session), soap.ManySessions},
		{"two SessionHeaders of two namespaces", envelope(session + `<x:SessionHeader xmlns:x="urn:x"/>`), soap.ManySessions},
		{"two sessionIds", envelope(inSession(id + id)), soap.ManySessions},
		{"two sessionIds, the first empty", envelope(inSession("<sessionId/>" + id)), soap.ManySessions},
		{"two sessionIds of two namespaces", envelope(inSession(id + `<sessionId xmlns=""/>`)), soap.ManySessions},
		{"a sessionId in a sessionId", envelope(inSession("<sessionId>" + id + "</sessionId>")), soap.BadSession},
		{"a SessionHeader in a SessionHeader", envelope(inSession(session)), soap.ManySessions},
		{"a SessionHeader in another block", envelope("<X>" + session + "</X>" + session), soap.ManySessions},
		{"a sessionId in another block", envelope("<X>" + id + "</X>" + session), soap.ManySessions},
		{"a sessionId in the Header", envelope(id + session), soap.ManySessions},
		{"a sessionId in another case", envelope(inSession(id + "<SessionID/>")), soap.ManySessions},
		{"a SessionHeader in another case", envelope("<sessionheader/>" + session), soap.ManySessions},
		{"a SessionHeader in another case alone", envelope("<sessionHeader>" + id + "</sessionHeader>"), soap.ManySessions},

		// What a session must not be.
		{"a sessionId with an element", envelope(inSession("<sessionId>a<b/></sessionId>")), soap.BadSession},
		{"a sessionId that is nil", envelope(inSession(`<sessionId xsi:nil="true"/>`)), soap.BadSession},
		{"a sessionId that isn't nil but says so", envelope(inSession(`<sessionId xsi:nil="false">a</sessionId>`)), soap.BadSession},
		{"a sessionId that is nil by another prefix", envelope(inSession(`<sessionId xmlns:y="http://www.w3.org/2001/XMLSchema-instance" y:nil="1"/>`)), soap.BadSession},
		{"a sessionId of another type", envelope(inSession(`<sessionId xsi:type="e:Array">a</sessionId>`)), soap.BadSession},
		{"a sessionId of a type without a namespace", envelope(inSession(`<sessionId xsi:type="no:string">a</sessionId>`)), soap.BadSession},
		{"a sessionId with an id", envelope(inSession(`<sessionId id="a">a</sessionId>`)), soap.BadSession},
		{"a sessionId with an xml:base", envelope(inSession(`<sessionId xml:base="a">a</sessionId>`)), soap.BadSession},
		{"a sessionId with an encodingStyle", envelope(inSession(`<sessionId e:encodingStyle="a">a</sessionId>`)), soap.BadSession},
		{"a SessionHeader that is nil", envelope(`<SessionHeader xsi:nil="true">` + id + "</SessionHeader>"), soap.BadSession},
		{"a SessionHeader with an encodingStyle", envelope(`<SessionHeader e:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">` + id + "</SessionHeader>"), soap.BadSession},
		{"a SessionHeader with an unknown attribute", envelope(`<SessionHeader a="b">` + id + "</SessionHeader>"), soap.BadSession},
		{"a SessionHeader with an actor of no namespace", envelope(`<SessionHeader actor="b">` + id + "</SessionHeader>"), soap.BadSession},
		{"a SessionHeader with text", envelope(inSession("x" + id)), soap.BadSession},
		{"a SessionHeader with a CDATA section", envelope(inSession(id + "<![CDATA[ ]]>")), soap.BadSession},
		{"a SessionHeader with another element", envelope(inSession(id + "<x/>")), soap.BadSession},

		// References to elsewhere.
		{"a SessionHeader by href", envelope(`<SessionHeader href="#id0">` + id + "</SessionHeader>"), soap.Forbidden},
		{"a sessionId by href", envelope(inSession(`<sessionId href="#id0"/>`)), soap.Forbidden},
		{"a sessionId by SOAP 1.2's ref", envelope(inSession(`<sessionId xmlns:enc="http://www.w3.org/2003/05/soap-encoding" enc:ref="id0"/>`)), soap.Forbidden},
		{"a block by href", envelope(session + `<X href="#id0"/>`), soap.Forbidden},
		{"a Header by href", within(t, "<e:Header>", `<e:Header href="#a">`), soap.Forbidden},
		{"XInclude in the Header", envelope(session + `<i:include xmlns:i="http://www.w3.org/2001/XInclude"/>`), soap.Forbidden},
		{"XInclude in a sessionId", envelope(inSession(`<sessionId><i:include xmlns:i="http://www.w3.org/2001/XInclude"/></sessionId>`)), soap.Forbidden},
		{"XInclude as the operation", within(t, "<query", `<i:include xmlns:i="http://www.w3.org/2001/XInclude"/><query`), soap.Forbidden},
		{"an attachment as the sessionId", envelope(inSession(`<sessionId><i:Include xmlns:i="http://www.w3.org/2004/08/xop/include"/></sessionId>`)), soap.BadSession},

		// Document types and processing instructions.
		{"a document type", "<!DOCTYPE a [<!ENTITY b 'c'>]>" + envelope(session), soap.Forbidden},
		{"a document type in lower case", "<!doctype a>" + envelope(session), soap.Malformed},
		{"a declaration in the Header", envelope("<!ELEMENT a ANY>" + session), soap.Malformed},
		{"a processing instruction before the root", "<?a b?>" + envelope(session), soap.Forbidden},
		{"a processing instruction that looks like the XML declaration", "<?xml-stylesheet a='b'?>" + envelope(session), soap.Forbidden},
		{"a processing instruction in the Header", envelope("<?a?>" + session), soap.Forbidden},
		{"a processing instruction in a sessionId", envelope(inSession("<sessionId><?a?></sessionId>")), soap.Forbidden},
		{"an XML declaration behind white space", " <?xml version='1.0'?>" + envelope(session), soap.Forbidden},
		{"two XML declarations", "<?xml version='1.0'?><?xml version='1.0'?>" + envelope(session), soap.Forbidden},
		{"an XML declaration without a version", "<?xml encoding='utf-8'?>" + envelope(session), soap.Forbidden},
		{"an empty XML declaration", "<?xml?>" + envelope(session), soap.Malformed},
		{"XML 1.1", "<?xml version='1.1'?>" + envelope(session), soap.Malformed},
		{"an XML declaration in the wrong order", "<?xml version='1.0' standalone='yes' encoding='utf-8'?>" + envelope(session), soap.Forbidden},
		{"an XML declaration with two encodings", "<?xml version='1.0' encoding='utf-8' encoding='utf-7'?>" + envelope(session), soap.Forbidden},
		{"a standalone that is neither", "<?xml version='1.0' standalone='maybe'?>" + envelope(session), soap.Malformed},

		// Encodings.
		{"Latin-1 declared", "<?xml version='1.0' encoding='ISO-8859-1'?>" + envelope(session), soap.Encoding},
		{"UTF-7 declared", "<?xml version='1.0' encoding='UTF-7'?>" + envelope(session), soap.Encoding},
		{"UTF-16 declared", "<?xml version='1.0' encoding='UTF-16'?>" + envelope(session), soap.Encoding},
		{"UTF-16 by its mark", "\xff\xfe<\x00?\x00", soap.Encoding},
		{"UTF-16, the other way around", "\xfe\xff\x00<\x00?", soap.Encoding},
		{"UTF-16 without a mark", "<\x00?\x00x\x00", soap.Encoding},
		{"UTF-16 without a mark, the other way around", "\x00<\x00?\x00x", soap.Encoding},
		{"UTF-32", "\x00\x00\xfe\xff\x00\x00\x00<", soap.Encoding},
		{"EBCDIC", "\x4c\x6f\xa7\x94\x93", soap.Encoding},
		{"two byte order marks", "\xef\xbb\xbf\xef\xbb\xbf" + envelope(session), soap.Malformed},
		{"a byte order mark that isn't whole", "\xef\xbb<" + envelope(session), soap.Malformed},
		{"a byte order mark behind white space", " \xef\xbb\xbf" + envelope(session), soap.Malformed},
		{"a byte order mark in the Header", envelope("\ufeff" + session), soap.Malformed},
		{"Latin-1", envelope("<X>\xe9</X>" + session), soap.Encoding},
		{"an overlong <", envelope("<X>\xc0\xbcSessionHeader></X>" + session), soap.Encoding},
		{"a surrogate", envelope("<X>\xed\xa0\x80</X>" + session), soap.Encoding},
		{"bytes that are no UTF-8 in a comment", envelope("<!--\xff-->" + session), soap.Encoding},
		{"bytes that are no UTF-8 in a sessionId", envelope(inSession("<sessionId>\xff</sessionId>")), soap.Encoding},
		{"bytes that are no UTF-8 in an attribute", envelope("<X a='\xff'/>" + session), soap.Encoding},

		// Characters and references.
		{"a NUL in text", envelope("<X>\x00</X>" + session), soap.Malformed},
		{"a NUL in a sessionId", envelope(inSession("<sessionId>a\x00</sessionId>")), soap.Malformed},
		{"a NUL in a name", envelope("<session\x00Id/>" + session), soap.Malformed},
		{"a control character in a comment", envelope("<!--\x0b-->" + session), soap.Malformed},
		{"a control character in a CDATA section", envelope("<X><![CDATA[\x1b]]></X>" + session), soap.Malformed},
		{"U+FFFF", envelope("<X>\uffff</X>" + session), soap.Malformed},
		{"a reference to a NUL", envelope("<X>&#0;</X>" + session), soap.Malformed},
		{"a reference to a surrogate", envelope("<X>&#xD800;</X>" + session), soap.Malformed},
		{"a reference behind all characters", envelope("<X>&#x110000;</X>" + session), soap.Malformed},
		{"a reference with too many digits", envelope("<X>&#" + strings.Repeat("0", 30) + "65;</X>" + session), soap.Malformed},
		{"a reference with a capital X", envelope("<X>&#X41;</X>" + session), soap.Malformed},
		{"a reference without a number", envelope("<X>&#;</X>" + session), soap.Malformed},
		{"a reference without hexadecimal digits", envelope("<X>&#x;</X>" + session), soap.Malformed},
		{"a reference to an unknown entity", envelope("<X>&nbsp;</X>" + session), soap.Malformed},
		{"a bare ampersand", envelope("<X>a & b</X>" + session), soap.Malformed},
		{"an unknown entity in a sessionId", envelope(inSession("<sessionId>&x;</sessionId>")), soap.Malformed},
		{"an unknown entity in an attribute", envelope("<X a='&x;'/>" + session), soap.Malformed},
		{"]]> in text", envelope("<X>a]]>b</X>" + session), soap.Malformed},
		{"-- in a comment", envelope("<!-- a -- b -->" + session), soap.Malformed},
		{"a comment that ends with three dashes", envelope("<!-- a --->" + session), soap.Malformed},
		{"a comment that begins as it ends", envelope("<!-->" + session), soap.Cut},

		// Names and tags.
		{"a character reference in a name", envelope("<session&#73;d/>" + session), soap.Malformed},
		{"a name that isn't ASCII", envelope("<é/>" + session), soap.Malformed},
		{"a byte order mark in a name", envelope(inSession("<\ufeffsessionId/>" + id)), soap.Malformed},
		{"a Cyrillic letter in a name", envelope("<Sess\u0456onHeader/>" + session), soap.Malformed},
		{"a name with two colons", envelope("<e:e:X/>" + session), soap.Malformed},
		{"a name that begins with a colon", envelope("<:sessionId/>" + session), soap.Malformed},
		{"a name that ends with a colon", envelope("<e:>" + session), soap.Malformed},
		{"a name that begins with a digit", envelope("<e:1/>" + session), soap.Malformed},
		{"white space before a name", envelope("< X/>" + session), soap.Malformed},
		{"white space in an end tag", envelope("<X>< /X>" + session), soap.Malformed},
		{"white space before an end tag's name", envelope("<X></ X>" + session), soap.Malformed},
		{"an end tag with an attribute", envelope("<X></X a='b'>" + session), soap.Malformed},
		{"an end tag of another element", envelope("<X><Y></X></Y>" + session), soap.Malformed},
		{"an end tag with another prefix of the same namespace", envelope(`<X xmlns:p="urn:partner.soap.sforce.com"></p:X>` + session), soap.Malformed},
		{"an end tag in another case", envelope("<X></x>" + session), soap.Malformed},
		{"an end tag too many", "</a>" + envelope(session), soap.Malformed},
		{"a slash in a tag", envelope("<X / >" + session), soap.Malformed},
		{"a tag in a tag", envelope("<X <SessionHeader/>>" + session), soap.Malformed},
		{"an attribute without a value", envelope("<X a>" + session), soap.Malformed},
		{"an attribute without quotes", envelope("<X a=b/>" + session), soap.Malformed},
		{"a < in an attribute", envelope("<X a='<'/>" + session), soap.Malformed},
		{"attributes without white space between them", envelope("<X a='b'c='d'/>" + session), soap.Malformed},
		{"a duplicate attribute", envelope("<X a='b' a='c'/>" + session), soap.Malformed},
		{"a duplicate attribute by two prefixes", envelope(`<X xmlns:p="urn:x" xmlns:q="urn:x" p:a="b" q:a="c"/>` + session), soap.Malformed},

		// Namespaces.
		{"a duplicate declaration", envelope(`<X xmlns:p="urn:x" xmlns:p="urn:y"/>` + session), soap.Malformed},
		{"an unbound prefix of an element", envelope("<no:X/>" + session), soap.Malformed},
		{"an unbound prefix of a SessionHeader", envelope("<no:SessionHeader>" + id + "</no:SessionHeader>"), soap.Malformed},
		{"an unbound prefix of an attribute", envelope("<X no:a='b'/>" + session), soap.Malformed},
		{"a prefix that another element bound", envelope("<X xmlns:p='urn:x'/><p:X/>" + session), soap.Malformed},
		{"a prefix bound to nothing", envelope(`<X xmlns:p=""/>` + session), soap.Malformed},
		{"the prefix xml bound anew", envelope(`<X xmlns:xml="urn:x"/>` + session), soap.Malformed},
		{"the prefix xmlns bound", envelope(`<X xmlns:xmlns="urn:x"/>` + session), soap.Malformed},
		{"the namespace of xml under another prefix", envelope(`<X xmlns:p="http://www.w3.org/XML/1998/namespace"/>` + session), soap.Malformed},
		{"the namespace of xml as the default", envelope(`<X xmlns="http://www.w3.org/XML/1998/namespace"/>` + session), soap.Malformed},
		{"an element with the prefix xml", envelope("<xml:SessionHeader/>" + session), soap.Malformed},
		{"an element with the prefix xmlns", envelope("<xmlns:sessionId/>" + session), soap.Malformed},
		{"a namespace with a reference", within(t, soap11, strings.Replace(soap11, "/", "&#47;", 1)), soap.Malformed},
		{"a namespace with a reference that nothing needs", envelope("<X xmlns:p='urn:&#120;'/>" + session), soap.Malformed},
		{"the namespace of xmlns under another prefix", envelope(`<X xmlns:p="http://www.w3.org/2000/xmlns/"/>` + session), soap.Malformed},
		{"a namespace with white space", within(t, soap11, " "+soap11), soap.Malformed},

		// Limits.
		{"a Header that is too large", envelope("<X>" + strings.Repeat("a", soap.MaxHead) + "</X>" + session), soap.TooLarge},
		{"a tag that is too large", envelope("<X a='" + strings.Repeat("a", soap.MaxHead) + "'/>" + session), soap.TooLarge},
		{"a comment that is too large", "<!--" + strings.Repeat("a", soap.MaxHead) + "-->" + envelope(session), soap.TooLarge},
		{"white space that doesn't end", strings.Repeat(" ", 1<<20) + envelope(session), soap.TooLarge},
		{"an operation that comes too late", within(t, "<query", strings.Repeat(" ", soap.MaxHead+8<<10)+"<query"), soap.TooLarge},
		{"elements nested too deep", envelope(strings.Repeat("<a>", 40) + strings.Repeat("</a>", 40) + session), soap.TooComplex},
		{"too many attributes", envelope("<X " + many(70, "a%d='' ") + "/>" + session), soap.TooComplex},
		{"too many namespaces", envelope("<X " + many(60, "xmlns:a%d='u' ") + "><X " + many(60, "xmlns:b%d='u' ") + "><X " + many(60, "xmlns:c%d='u' ") + "/></X></X>" + session), soap.TooComplex},
	}
}

// followers stand behind the operation's start tag.
func followers(t testing.TB) []refused {
	return []refused{
		{"a Header after the Body", within(t, "</e:Body>", "</e:Body><e:Header>"+session+"</e:Header>"), soap.Malformed},
		{"a second Body", within(t, "</e:Body>", "</e:Body><e:Body/>"), soap.Malformed},
		{"a second operation", within(t, "</query>", "</query><login/>"), soap.Malformed},
		{"a second operation behind an empty one", within(t, "<query ", "<logout/><query "), soap.Malformed},
		{"a second Envelope", within(t, "</e:Envelope>", "</e:Envelope>"+envelope(session)), soap.Malformed},
		{"text behind the operation", within(t, "</e:Body>", "x</e:Body>"), soap.Malformed},
		{"an empty element behind the Envelope", within(t, "</e:Envelope>", "</e:Envelope><a/>"), soap.Malformed},
		{"text behind the Envelope", within(t, "</e:Envelope>", "</e:Envelope>x"), soap.Malformed},
		{"a CDATA section behind the operation", within(t, "</e:Body>", "<![CDATA[ ]]></e:Body>"), soap.Forbidden},
		{"a document type behind the operation", within(t, "</q>", "<!DOCTYPE a></q>"), soap.Forbidden},
		{"a processing instruction in the operation", within(t, "</q>", "<?a?></q>"), soap.Forbidden},
		{"a Body that is closed twice", within(t, "</e:Body>", "</e:Body></e:Body>"), soap.Malformed},
		{"an operation that is closed by the Body", within(t, "</query>", ""), soap.Malformed},
		{"an operation whose parts overlap", within(t, "</q></query>", "</query></q>"), soap.Malformed},
		{"an end tag that is the beginning of the right one", within(t, "</query>", "</quer>"), soap.Malformed},
		{"an end tag that the right one is the beginning of", within(t, "</query>", "</query1>"), soap.Malformed},
		{"an end tag without a name", within(t, "</q>", "</>"), soap.Malformed},
		{"an end tag with an attribute", within(t, "</q>", "</q a='b'>"), soap.Malformed},
		{"a < in an attribute", within(t, "<q>", "<q a='<'>"), soap.Malformed},
		{"an attribute without quotes", within(t, "<q>", "<q a=b>"), soap.Malformed},
		{"an attribute without a value", within(t, "<q>", "<q a>"), soap.Malformed},
		{"attributes without white space between them", within(t, "<q>", "<q a='b'c='d'>"), soap.Malformed},
		{"a quote that isn't a value's", within(t, "<q>", "<q a\"b>"), soap.Malformed},
		{"a slash in a tag", within(t, "<q>", "<q / >"), soap.Malformed},
		{"a tag that isn't one", within(t, "<q>", "<1><q>"), soap.Malformed},
		{"a comment with -- inside", within(t, "<q>", "<!-- -- --><q>"), soap.Malformed},
		{"a comment that ends with three dashes", within(t, "<q>", "<!-- ---><q>"), soap.Malformed},
		{"a word that is no comment's", within(t, "<q>", "<!-x --><q>"), soap.Malformed},
		{"an overlong <", within(t, "<q>", "<q>\xc0\xbc"), soap.Encoding},
		{"half of a character", within(t, "</q>", "\xc3</q>"), soap.Encoding},
		{"elements nested too deep", within(t, "<q>", strings.Repeat("<a>", 300)+"<q>"), soap.TooComplex},
		{"names that are too long", within(t, "<q>", strings.Repeat("<"+strings.Repeat("a", 4096)+">", 20)+"<q>"), soap.TooComplex},
	}
}

func TestWhatTwoReadersCouldReadDifferentlyIsRefused(t *testing.T) {
	for _, c := range append(attacks(t), followers(t)...) {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(c.body), iotest.OneByteReader(strings.NewReader(c.body))} {
				_, out, err := through(r, "T")
				if kindOf(err) != c.want {
					t.Errorf("kind %d, want %d: %v", kindOf(err), c.want, err)
				}
				if len(c.body) > 0 && len(out) >= len(c.body) {
					t.Error("all of it would reach Salesforce")
				}
			}
		})
	}
}

func TestNothingOfARefusedElementPasses(t *testing.T) {
	for _, c := range followers(t) {
		r := iotest.OneByteReader(strings.NewReader(c.body))
		_, out, err := through(r, "mine")
		if err == nil || !strings.HasPrefix(c.body, out) {
			t.Errorf("%s: %v, passed: %s", c.name, err, out)
		}
	}
}

func TestErrorsHoldNothingOfTheBody(t *testing.T) {
	for _, c := range append(attacks(t), followers(t)...) {
		body := strings.NewReplacer("mine", "SECRET", "urn:x", "urn:SECRET", "<X", "<SECRET", "<q>", "<SECRET>").Replace(c.body)
		if _, _, err := through(strings.NewReader(body), "T"); err != nil && strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
