package sfsim

import (
	"compress/gzip"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
)

// envelope is what of a SOAP request matters.
type envelope struct {
	session   string            // SessionHeader/sessionId in the Header
	operation string            // first element of the Body
	args      map[string]string // the operation's own arguments that are text
	records   int               // sObjects or ids among them
	kind      string            // type of the last record, or of metadata
	count     map[string]int    // the operation's arguments
}

// maxSession bounds what is read as a session id.
const maxSession = 16 << 10

// readEnvelope reads a body of any length, gzip or not, in constant memory. It
// calls begun when session and operation are known, before it reads on.
func readEnvelope(r *http.Request, begun func(envelope)) (envelope, error) {
	m := envelope{args: map[string]string{}, count: map[string]int{}}
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
	d := xml.NewDecoder(newThin(body))
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
			if m.begin(at) {
				begun(m)
			}
		case xml.EndElement:
			at = at[:len(at)-1]
		case xml.CharData:
			m.text(at, string(t))
		}
	}
}

// begin takes an element's start and reports whether it is the operation's.
func (m *envelope) begin(at []string) bool {
	switch {
	case len(at) < 3 || at[1] != "Body":
	case len(at) == 3 && m.operation == "":
		m.operation = at[2]
		return true
	case len(at) == 4:
		if len(m.count) < 100 {
			m.count[at[3]]++
		}
		if at[3] == "sObjects" || at[3] == "ids" || at[3] == "metadata" {
			m.records++
		}
	}
	return false
}

func (m *envelope) text(at []string, text string) {
	switch {
	case len(at) == 4 && at[1] == "Header" && at[2] == "SessionHeader" && at[3] == "sessionId":
		if len(m.session)+len(text) <= maxSession {
			m.session += text
		}
	case len(at) == 4 && at[1] == "Body" && len(m.args) < 100:
		if len(m.args[at[3]])+len(text) <= maxText {
			m.args[at[3]] += text
		}
	case len(at) == 5 && at[1] == "Body" && at[4] == "type":
		m.kind = text
	}
}
