package virtual

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"net/url"
	"strconv"
	"strings"
)

// Format is how an OAuth answer is written. The zero Format is JSON.
type Format uint8

// The formats (api_rest, "OAuth 2.0 refresh token flow").
const (
	JSON Format = iota
	XML
	URLEncoded
)

// parameterFormat reads the parameter format. It is false for a value that Salesforce doesn't name.
func parameterFormat(value string) (Format, bool) {
	switch strings.ToLower(value) {
	case "json":
		return JSON, true
	case "xml":
		return XML, true
	case "urlencoded":
		return URLEncoded, true
	}
	return JSON, false
}

// acceptFormat reads Accept (RFC 9110, section 12.5.1). The highest weight wins and JSON all ties, so that whoever
// accepts anything, or nothing that there is, gets JSON.
func acceptFormat(accept []string) Format {
	best, weight := JSON, 0.0
	for _, line := range accept {
		for element := range strings.SplitSeq(line, ",") {
			media, attributes, _ := strings.Cut(element, ";")
			var f Format
			switch strings.ToLower(strings.TrimSpace(media)) {
			case "application/json", "application/*", "*/*":
				f = JSON
			case "application/xml":
				f = XML
			case "application/x-www-form-urlencoded":
				f = URLEncoded
			default:
				continue
			}
			if q := quality(attributes); q > weight || q == weight && f == JSON {
				best, weight = f, q
			}
		}
	}
	return best
}

// quality is the weight among a media range's parameters: 1 without one, 0 for one that can't be read.
func quality(attributes string) float64 {
	for attribute := range strings.SplitSeq(attributes, ";") {
		if value, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(attribute)), "q="); ok {
			q, err := strconv.ParseFloat(value, 64)
			if err != nil || q < 0 || q > 1 {
				return 0
			}
			return q
		}
	}
	return 1
}

// fields are the names and values of an answer in the order in which they are written.
type fields [][2]string

// add appends a field that has a value.
func (f *fields) add(name, value string) {
	if value != "" {
		*f = append(*f, [2]string{name, value})
	}
}

// render writes f as Salesforce does.
func (f fields) render(format Format) (contentType string, body []byte) {
	switch format {
	case XML:
		return "application/xml;charset=UTF-8", f.xml()
	case URLEncoded:
		return "application/x-www-form-urlencoded;charset=UTF-8", f.urlencoded()
	default:
		return "application/json;charset=UTF-8", f.json()
	}
}

func (f fields) json() []byte {
	b := []byte{'{'}
	for i, field := range f {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, quote(field[0])...), ':'), quote(field[1])...)
	}
	return append(b, '}')
}

// quote is s as a JSON string, with < > and & as they are: this is no HTML, and Salesforce writes them so.
func quote(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(s) != nil { // Every string can be encoded.
		return []byte(`""`)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

const xmlHeader = `<?xml version="1.0" encoding="UTF-8"?>`

func (f fields) xml() []byte {
	var b bytes.Buffer
	b.WriteString(xmlHeader + "<OAuth>")
	for _, field := range f {
		element(&b, field[0], field[1])
	}
	b.WriteString("</OAuth>")
	return b.Bytes()
}

// element writes one XML element with a text.
func element(b *bytes.Buffer, name, text string) {
	b.WriteString("<" + name + ">")
	_ = xml.EscapeText(b, []byte(text)) // A Buffer takes all.
	b.WriteString("</" + name + ">")
}

func (f fields) urlencoded() []byte {
	var b bytes.Buffer
	for i, field := range f {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(field[0]) + "=" + url.QueryEscape(field[1]))
	}
	return b.Bytes()
}
