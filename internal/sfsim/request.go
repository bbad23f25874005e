package sfsim

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

const maxParams = 1 << 20

// request is one request to an OAuth endpoint.
type request struct {
	*http.Request
	name   string // host, lower case, no port
	host   host
	source netip.Addr
	params url.Values
	client string // client_id
	secret string
	// signing is the consumer secret that signs the answer; set with the client.
	signing string
	fault   *Fault // never nil
}

func readRequest(r *http.Request, name string, h host) *request {
	q := &request{Request: r, name: name, host: h, source: sourceOf(r), params: readParams(r), fault: &Fault{}}
	q.client, q.secret = q.params.Get("client_id"), q.params.Get("client_secret")
	if id, secret, ok := r.BasicAuth(); ok {
		q.client, q.secret = id, secret
	}
	return q
}

func (q *request) seen(e Endpoint, t TokenRef) Seen {
	return Seen{Endpoint: e, Method: q.Method, Host: q.name, Path: q.URL.Path, Source: q.source,
		GrantType: q.params.Get("grant_type"), ClientID: q.client, Token: t}
}

func sourceOf(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

// readParams merges the body's parameters (urlencoded or multipart) and the
// query's; where both have one, the body's counts.
func readParams(r *http.Request) url.Values {
	v := url.Values{}
	merge := func(from url.Values) {
		for name, values := range from {
			v[name] = append(v[name], values...)
		}
	}
	kind, attrs, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.Body == nil:
	case kind == "application/x-www-form-urlencoded":
		if b, err := io.ReadAll(io.LimitReader(r.Body, maxParams)); err == nil {
			if form, err := url.ParseQuery(string(b)); err == nil {
				merge(form)
			}
		}
	case kind == "multipart/form-data":
		if form, err := multipart.NewReader(io.LimitReader(r.Body, maxParams), attrs["boundary"]).ReadForm(maxParams); err == nil {
			merge(form.Value)
		}
	}
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, maxParams)) // the rest, so that the connection can go on
	}
	merge(r.URL.Query())
	return v
}

// fields are the ordered fields of an OAuth answer.
type fields [][2]string

func (f fields) json() []byte {
	var b strings.Builder
	for i, kv := range f {
		sep := ","
		if i == 0 {
			sep = "{"
		}
		k, _ := json.Marshal(kv[0]) // strings always marshal
		v, _ := json.Marshal(kv[1])
		b.WriteString(sep + string(k) + ":" + string(v))
	}
	return []byte(b.String() + "}")
}

func (f fields) xml() []byte {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?><OAuth>`)
	for _, kv := range f {
		b.WriteString("<" + kv[0] + ">")
		_ = xml.EscapeText(&b, []byte(kv[1])) // a Builder takes all
		b.WriteString("</" + kv[0] + ">")
	}
	b.WriteString("</OAuth>")
	return []byte(b.String())
}

func (f fields) form() []byte {
	v := url.Values{}
	for _, kv := range f {
		v.Set(kv[0], kv[1])
	}
	return []byte(v.Encode())
}

// result is what an endpoint decided, before it is put into words.
type result struct {
	status int
	fields fields
	issued *refresh // the new refresh token
}

func fail(code, description string) *result {
	f := fields{{"error", code}}
	if description != "" {
		f = append(f, [2]string{"error_description", description})
	}
	return &result{status: http.StatusBadRequest, fields: f}
}

func (r *result) field(name string) string {
	for _, kv := range r.fields {
		if kv[0] == name {
			return kv[1]
		}
	}
	return ""
}

// encode puts a result into the form that the format parameter or Accept asks
// for, JSON if neither does.
func (q *request) encode(r *result) answer {
	format := strings.ToLower(q.params.Get("format"))
	if format == "" {
		switch accept := q.Header.Get("Accept"); {
		case strings.Contains(accept, "application/json"):
		case strings.Contains(accept, "application/xml"):
			format = "xml"
		case strings.Contains(accept, "application/x-www-form-urlencoded"):
			format = "urlencoded"
		}
	}
	a := answer{status: r.status, header: http.Header{"Cache-Control": {"no-cache, no-store"}, "Pragma": {"no-cache"}}}
	switch format {
	case "xml":
		a.body = r.fields.xml()
		a.header.Set("Content-Type", "application/xml;charset=UTF-8")
	case "urlencoded":
		a.body = r.fields.form()
		a.header.Set("Content-Type", "application/x-www-form-urlencoded;charset=UTF-8")
	default:
		a.body = r.fields.json()
		a.header.Set("Content-Type", "application/json;charset=UTF-8")
	}
	return a
}
