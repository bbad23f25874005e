package soap_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/proxy/soap"
)

func fault11(inside string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="` + soap11 + `" xmlns:sf="urn:fault.partner.soap.sforce.com" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><soapenv:Fault>` +
		inside + `</soapenv:Fault></soapenv:Body></soapenv:Envelope>`
}

func fault12(inside string) string { return strings.Replace(fault11(inside), soap11, soap12, 1) }

func TestADeadSessionIsToldByTheFaultsCodeAlone(t *testing.T) {
	const dead, why = "<faultcode>sf:INVALID_SESSION_ID</faultcode>", "<faultstring>INVALID_SESSION_ID: Invalid Session ID found in SessionHeader: Illegal Session. Session not found</faultstring>"
	quoted := "<faultcode>sf:MALFORMED_QUERY</faultcode><faultstring>MALFORMED_QUERY: &lt;faultcode>sf:INVALID_SESSION_ID&lt;/faultcode></faultstring><detail>" + dead + "</detail>"
	for _, c := range []struct {
		name, body string
		want       bool
	}{
		{"Salesforce's fault", fault11(dead + why), true},
		{"a fault of another API", strings.ReplaceAll(fault11(dead+why), "sf", "x"), true},
		{"a code with white space", fault11("<faultcode>\n sf:INVALID_SESSION_ID\n</faultcode>"), true},
		{"a code behind another part", fault11(why + dead), true},
		{"a fault behind a Header", strings.Replace(fault11(dead), "<soapenv:Body>", "<soapenv:Header><LimitInfoHeader/></soapenv:Header><soapenv:Body>", 1), true},
		{"SOAP 1.2's code", fault12("<soapenv:Code><soapenv:Value>sf:INVALID_SESSION_ID</soapenv:Value></soapenv:Code>"), true},
		{"SOAP 1.2's subcode", fault12("<soapenv:Code><soapenv:Value>soapenv:Sender</soapenv:Value><soapenv:Subcode><soapenv:Value>sf:INVALID_SESSION_ID</soapenv:Value></soapenv:Subcode></soapenv:Code>"), true},
		{"a body that is cut behind the code", strings.SplitAfter(fault11(dead+why), "</faultcode>")[0], true},
		{"a body that is cut in the reason", strings.SplitAfter(fault11(dead+why), "Illegal")[0], true},
		{"a body that is cut in the code", strings.SplitAfter(fault11(dead+why), "<faultcode>sf:INVALID")[0], false},
		{"another code", fault11("<faultcode>sf:INVALID_SESSION_ID_X</faultcode>"), false},
		{"another code before it", fault11("<faultcode>sf:X_INVALID_SESSION_ID</faultcode>"), false},
		{"a code that is quoted elsewhere", fault11(quoted), false},
		{"a code in a comment", fault11("<!--" + dead + "-->"), false},
		{"a code in a CDATA section", fault11("<faultstring><![CDATA[" + dead + "]]></faultstring>"), false},
		{"a code of what is no fault", strings.ReplaceAll(fault11(dead), "Fault>", "fault>"), false},
		{"a fault in an answer's Header", strings.ReplaceAll(fault11(dead), "Body>", "Header>"), false},
		{"a fault in a fault", fault11("<soapenv:Fault>" + dead + "</soapenv:Fault>"), false},
		{"a fault of no SOAP", strings.Replace(fault11(dead), soap11, "urn:x", 1), false},
		{"a fault behind the Body", strings.Replace(fault11("<faultcode>sf:X</faultcode>"), "</soapenv:Body>", "</soapenv:Body><soapenv:Body><soapenv:Fault>"+dead+"</soapenv:Fault></soapenv:Body>", 1), false},
		{"an empty code", fault11("<faultcode/>"), false},
		{"a code with an element", fault11("<faultcode>sf:INVALID_SESSION_ID<a/></faultcode>"), false},
		{"what a client said", envelope(session), false},
		{"JSON", `[{"errorCode":"INVALID_SESSION_ID"}]`, false},
		{"HTML", "<html><p>INVALID_SESSION_ID</html>", false},
		{"nothing", "", false},
	} {
		if got := soap.IsDead([]byte(c.body)); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
