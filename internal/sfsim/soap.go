package sfsim

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
)

// soap serves the partner, enterprise, metadata, tooling and Apex APIs. The
// session is inside the XML; a JWT is refused as a dead one is.
func (s *Sim) soap(w http.ResponseWriter, c *call) {
	var a *access
	m, err := readEnvelope(c.Request, func(m envelope) { a = s.soapSession(c, m) })
	switch {
	case err != nil:
		soapFault(w, "soapenv:Client", "UNKNOWN_EXCEPTION: the envelope can't be read")
		return
	case m.operation == "login":
		soapFault(w, "sf:INVALID_LOGIN", "INVALID_LOGIN: Invalid username, password, security token; or user locked out.")
		return
	case a == nil:
		soapFault(w, "sf:INVALID_SESSION_ID", "INVALID_SESSION_ID: Invalid Session ID found in SessionHeader: Illegal Session. Session not found, missing session key")
		return
	case m.records > maxSOAPRecords && strings.HasPrefix(c.path, "/services/Soap/u/"):
		soapFault(w, "sf:EXCEEDED_ID_LIMIT", fmt.Sprintf("EXCEEDED_ID_LIMIT: record limit reached. cannot submit more than %d records into this call", maxSOAPRecords))
		return
	}
	if m.operation == "logout" {
		a.dead.Store(true)
	}
	stamp(w, a)
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	_, _ = fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns="%s"><soapenv:Header><LimitInfoHeader><limitInfo><current>%[3]d</current><limit>5000000</limit><type>API REQUESTS</type></limitInfo></LimitInfoHeader></soapenv:Header><soapenv:Body><%[2]sResponse>%[4]s</%[2]sResponse></soapenv:Body></soapenv:Envelope>`,
		namespace(c.path), m.operation, a.org.calls.Load(), soapResult(s, a, c.path, m))
}

// soapSession judges the session before the operation's arguments are read. It
// is nil when it is dead, and for a login, which needs none.
func (s *Sim) soapSession(c *call, m envelope) *access {
	if m.operation == "login" {
		s.ledger.anonymousRefused.Add(1)
		s.stray(c, "")
		s.violate(c, SOAPLogin, "login")
		return nil
	}
	if held := s.access(m.session); held != nil && held.jwt {
		s.stray(c, m.session)
		held.refused.Add(1)
		return nil
	}
	if c.org == nil {
		return nil
	}
	return s.enter(c, m.session)
}

func soapFault(w http.ResponseWriter, code, text string) {
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	w.WriteHeader(http.StatusInternalServerError)
	_, _ = fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:sf="urn:fault.partner.soap.sforce.com"><soapenv:Body><soapenv:Fault><faultcode>%s</faultcode><faultstring>%s</faultstring></soapenv:Fault></soapenv:Body></soapenv:Envelope>`, code, escape(text))
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes all
	return b.String()
}

func namespace(path string) string {
	part, _, _ := strings.Cut(strings.TrimPrefix(path, "/services/Soap/"), "/")
	switch part {
	case "c":
		return "urn:enterprise.soap.sforce.com"
	case "m":
		return "http://soap.sforce.com/2006/04/metadata"
	case "T":
		return "urn:tooling.soap.sforce.com"
	case "s", "class":
		return "http://soap.sforce.com/2006/08/apex"
	}
	return "urn:partner.soap.sforce.com"
}
