package sfsim

import (
	"compress/gzip"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// soap serves the partner, enterprise, metadata, tooling and Apex APIs. The
// session is inside the XML; a JWT is refused as a dead one is.
func (s *Sim) soap(w http.ResponseWriter, c *call) {
	m, err := readEnvelope(c.Request)
	if err != nil {
		soapFault(w, "soapenv:Client", "UNKNOWN_EXCEPTION: the envelope can't be read")
		return
	}
	if m.operation == "login" {
		s.ledger.anonymousRefused.Add(1)
		s.stray(c, "")
		s.violate(c, SOAPLogin, "login")
		soapFault(w, "sf:INVALID_LOGIN", "INVALID_LOGIN: Invalid username, password, security token; or user locked out.")
		return
	}
	var a *access
	if held := s.access(m.session); held != nil && held.jwt {
		s.stray(c, m.session)
		held.refused.Add(1)
	} else if c.org != nil {
		a = s.enter(c, m.session)
	}
	if a == nil {
		soapFault(w, "sf:INVALID_SESSION_ID", "INVALID_SESSION_ID: Invalid Session ID found in SessionHeader: Illegal Session. Session not found, missing session key")
		return
	}
	if m.operation == "logout" {
		a.dead.Store(true)
	}
	stamp(w, a)
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	_, _ = fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns="%s"><soapenv:Body><%[2]sResponse><result><userId>%[3]s</userId><userName>%[4]s</userName><organizationId>%[5]s</organizationId></result></%[2]sResponse></soapenv:Body></soapenv:Envelope>`,
		namespace(c.path), m.operation, a.user.ID, escape(a.user.Username), a.org.ID)
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

type envelope struct {
	session   string // SessionHeader/sessionId in the Header
	operation string // first element of the Body
}

// readEnvelope reads the whole body, gzip or not, and keeps what matters.
func readEnvelope(r *http.Request) (envelope, error) {
	var m envelope
	var body io.Reader = http.NoBody
	if r.Body != nil {
		body = r.Body
	}
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			return m, err
		}
		body = z
	}
	var at []string
	d := xml.NewDecoder(body)
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			if m.operation == "" {
				return m, io.ErrUnexpectedEOF
			}
			return m, nil
		}
		if err != nil {
			return m, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			at = append(at, t.Name.Local)
			if len(at) == 3 && at[1] == "Body" && m.operation == "" {
				m.operation = t.Name.Local
			}
		case xml.EndElement:
			at = at[:len(at)-1]
		case xml.CharData:
			if len(at) == 4 && at[1] == "Header" && at[2] == "SessionHeader" && at[3] == "sessionId" {
				m.session += string(t)
			}
		}
	}
}
