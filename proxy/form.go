package proxy

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/proxy/access"
	"github.com/sallyport/sallyport/proxy/virtual"
	"github.com/sallyport/sallyport/tokens"
)

// form is how an API tells errors.
type form uint8

const (
	formJSON form = iota
	formBulk      // Bulk v1
	formSOAP
	formCometD
	formGRPC
	formOAuth // Token endpoint
)

// gRPC statuses (grpc/doc/statuscodes.md).
const (
	grpcPermissionDenied   = 7
	grpcFailedPrecondition = 9
	grpcUnavailable        = 14
	grpcUnauthenticated    = 16
)

// formOf tells the form of a request's API by its canonical path.
func formOf(path string, grpc bool) form {
	switch {
	case grpc:
		return formGRPC
	case strings.HasPrefix(path, "/services/async/"):
		return formBulk
	case isSOAP(path):
		return formSOAP
	case isCometD(path):
		return formCometD
	}
	if _, ok := virtual.Endpoint(path); ok {
		return formOAuth
	}
	return formJSON
}

// name is a's code as it stands in every form, so that it can be looked for.
func (a answer) name() string { return "SALLYPORT_" + strings.ToUpper(string(a.code)) }

// render returns the content type and body of a in form f.
func (a answer) render(f form) (contentType string, body []byte) {
	name := a.name()
	switch f {
	case formBulk:
		return "application/xml; charset=UTF-8", fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?>`+
			`<error xmlns="http://www.force.com/2009/06/asyncapi/dataload"><exceptionCode>%s</exceptionCode>`+
			`<exceptionMessage>%s</exceptionMessage></error>`, name, escapeXML(a.message))
	case formSOAP:
		return "text/xml; charset=UTF-8", fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?>`+
			`<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:sf="urn:fault.partner.soap.sforce.com" `+
			`xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><soapenv:Fault>`+
			`<faultcode>sf:%[1]s</faultcode><faultstring>%[1]s: %[2]s</faultstring><detail><sf:UnexpectedErrorFault `+
			`xsi:type="sf:UnexpectedErrorFault"><sf:exceptionCode>%[1]s</sf:exceptionCode><sf:exceptionMessage>%[2]s</sf:exceptionMessage>`+
			`</sf:UnexpectedErrorFault></detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>`, name, escapeXML(a.message))
	case formCometD:
		return "application/json;charset=UTF-8", a.bayeux(readBayeux(nil))
	case formGRPC:
		return "application/grpc", nil
	case formOAuth:
		return virtual.RenderError(virtual.JSON, a.status, string(a.code), a.message)
	default:
		return "application/json;charset=UTF-8", encodeJSON([]any{map[string]string{"errorCode": name, "message": a.message}})
	}
}

func encodeJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return nil
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

func escapeXML(s string) string {
	var b strings.Builder
	if xml.EscapeText(&b, []byte(s)) != nil {
		return ""
	}
	return b.String()
}

// writeAnswer writes a and returns the length of its body. gRPC gets its status in a head without a body, which
// clients read as trailers; CometD's repeats what it answers, messages.
func writeAnswer(w http.ResponseWriter, a answer, f form, messages ...bayeuxMessage) int {
	h := w.Header()
	a.header(h)
	contentType, body := a.render(f)
	if len(messages) > 0 {
		body = a.bayeux(messages)
	}
	h.Set("Content-Type", contentType)
	if f == formGRPC {
		h.Set(grpcStatus, strconv.Itoa(a.grpcStatus()))
		h.Set(grpcText, a.grpcMessage())
		w.WriteHeader(http.StatusOK)
		return 0
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(a.shown())
	n, _ := w.Write(body) // A caller that went away needs no answer.
	return n
}

// shown is the status that the caller sees.
func (a answer) shown() int {
	if a.base && a.status == http.StatusProxyAuthRequired {
		return http.StatusUnauthorized
	}
	return a.status
}

// grpcMessage is percent-encoded as gRPC over HTTP/2 has it: what is printable stays, since grpc-js decodes no more than
// decodeURI does.
func (a answer) grpcMessage() string {
	var b strings.Builder
	for _, c := range []byte(a.name() + ": " + a.message) {
		if c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func (a answer) grpcStatus() int {
	if a.code == access.Code(tokens.CodeUpstream) { // What every gRPC client knows a lost connection by.
		return grpcUnavailable
	}
	switch a.status {
	case http.StatusProxyAuthRequired:
		return grpcUnauthenticated
	case http.StatusForbidden:
		return grpcPermissionDenied
	case http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusGatewayTimeout:
		return grpcUnavailable
	default:
		return grpcFailedPrecondition
	}
}

// response returns a as an answer to r, for goproxy.
func response(r *http.Request, a answer) *http.Response {
	h := make(http.Header)
	a.header(h)
	contentType, body := a.render(formJSON)
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	return &http.Response{
		StatusCode: a.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h, Request: r,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// wire returns a as it goes over an HTTP/1.1 connection that is then closed.
func wire(a answer) []byte {
	r := response(nil, a)
	defer r.Body.Close()
	r.Close = true
	var b bytes.Buffer
	if r.Write(&b) != nil {
		return nil
	}
	return b.Bytes()
}
