package salesforce

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/url"
	"strings"
)

// member is one value of an answer.
type member struct {
	text     string // a string's content; of anything else its JSON
	isString bool
	unclear  bool // named twice with different values
}

// members are the values of a flat answer, as far as each was read whole.
type members struct {
	byName map[string]member
	whole  bool // the answer is well-formed and nothing is missing
}

// value returns a string that was read whole and named once.
func (m members) value(name string) string {
	if v := m.byName[name]; v.isString && !v.unclear {
		return v.text
	}
	return ""
}

func (m members) has(name string) bool {
	_, ok := m.byName[name]
	return ok
}

func (m members) add(name string, v member) {
	if old, twice := m.byName[name]; twice && old != v {
		v.unclear = true
	}
	m.byName[name] = v
}

// membersOf reads the body of msg in whichever of Salesforce's three formats it
// is (Salesforce Help, "OAuth 2.0 Refresh Token Flow", parameter format). The
// shape decides, since something in front may have changed the content type. A
// page of HTML has no members.
func membersOf(msg message) members {
	body := bytes.TrimSpace(msg.body)
	m := members{byName: map[string]member{}}
	switch {
	case len(body) == 0:
	case body[0] == '{':
		m.whole = m.readJSON(body) == nil
	case body[0] == '<':
		m.whole = m.readXML(body) == nil
	default:
		// Its last pair has no end of its own: the framing must vouch for it.
		m.whole = m.readForm(string(body), msg.whole && !msg.closed) == nil
	}
	m.whole = m.whole && msg.whole
	return m
}

var errShape = errors.New("not a flat answer")

// readJSON reads one object. It stops at the first fault and keeps what came
// before it.
func (m members) readJSON(body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errShape
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		key, ok := name.(string)
		if !ok {
			return errShape
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return err
		}
		v := member{text: string(raw)}
		if raw[0] == '"' {
			v.isString = true
			if err := json.Unmarshal(raw, &v.text); err != nil {
				return err
			}
		}
		m.add(key, v)
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errShape
	}
	return nil
}

// readXML reads <OAuth><name>value</name>…</OAuth>.
func (m members) readXML(body []byte) error {
	d := xml.NewDecoder(bytes.NewReader(body))
	var path []string
	var text strings.Builder
	var flat, ended bool
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) && ended {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if ended || len(path) == 0 && !strings.EqualFold(t.Name.Local, "OAuth") {
				return errShape
			}
			path = append(path, t.Name.Local)
			flat = len(path) <= 2
			text.Reset()
		case xml.CharData:
			if ended {
				return errShape
			}
			text.Write(t)
		case xml.EndElement:
			if len(path) == 2 {
				m.add(path[1], member{text: text.String(), isString: flat})
			}
			path = path[:len(path)-1]
			ended = len(path) == 0
		}
	}
}

// readForm reads name=value&name=value, without the last pair unless ended says
// that nothing follows it.
func (m members) readForm(body string, ended bool) error {
	pairs := strings.Split(body, "&")
	if !ended {
		pairs = pairs[:len(pairs)-1]
	}
	var faults error
	for _, p := range pairs {
		name, value, ok := strings.Cut(p, "=")
		key, kerr := url.QueryUnescape(name)
		text, verr := url.QueryUnescape(value)
		if !ok || kerr != nil || verr != nil {
			faults = errShape
			continue
		}
		m.add(key, member{text: text, isString: true})
	}
	if !ended {
		return errShape
	}
	return faults
}
