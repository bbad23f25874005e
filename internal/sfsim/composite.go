package sfsim

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// composite serves /composite, /composite/batch and /composite/sobjects. The
// session of the outer call is that of all inner ones.
func (s *Sim) composite(version, tail string) func(http.ResponseWriter, *call, *access) {
	return func(w http.ResponseWriter, c *call, a *access) {
		var q compositeRequest
		err := json.NewDecoder(io.LimitReader(c.Body, maxParams)).Decode(&q)
		drain(c.Body)
		kind, _, _ := strings.Cut(tail, "/")
		switch {
		case c.Method == http.MethodDelete && kind == "sobjects": // the ids are in the query
			for id := range strings.SplitSeq(c.URL.Query().Get("ids"), ",") {
				q.Records = append(q.Records, map[string]any{"Id": id})
			}
			answerJSON(w, c, a, http.StatusOK, marshal(collection(a, q.Records)))
		case err != nil:
			stamp(w, a)
			restError(w, c, http.StatusBadRequest, "JSON_PARSER_ERROR", "The HTTP entity body is required, but this request has no entity body.")
		case kind == "sobjects":
			answerJSON(w, c, a, http.StatusOK, marshal(collection(a, q.Records)))
		case kind == "batch":
			results := []any{}
			for _, r := range q.BatchRequests {
				status, _, body := s.inner(c, a, version, r.Method, r.URL, r.RichInput)
				results = append(results, map[string]any{"statusCode": status, "result": body})
			}
			answerJSON(w, c, a, http.StatusOK, marshal(map[string]any{"hasErrors": false, "results": results}))
		default:
			results := []any{}
			for _, r := range q.CompositeRequest {
				status, header, body := s.inner(c, a, version, r.Method, r.URL, r.Body)
				results = append(results, map[string]any{"body": body, "httpHeaders": header, "httpStatusCode": status, "referenceId": r.ReferenceID})
			}
			answerJSON(w, c, a, http.StatusOK, marshal(map[string]any{"compositeResponse": results}))
		}
	}
}

type compositeRequest struct {
	CompositeRequest []struct {
		Method      string          `json:"method"`
		URL         string          `json:"url"`
		Body        json.RawMessage `json:"body"`
		ReferenceID string          `json:"referenceId"`
	} `json:"compositeRequest"`
	BatchRequests []struct {
		Method    string          `json:"method"`
		URL       string          `json:"url"`
		RichInput json.RawMessage `json:"richInput"`
	} `json:"batchRequests"`
	Records []map[string]any `json:"records"`
}

// collection answers the records of /composite/sobjects: those without an id
// are created.
func collection(a *access, records []map[string]any) []any {
	out := []any{}
	for _, r := range records {
		id, _ := r["Id"].(string)
		if id == "" {
			id, _ = r["id"].(string)
		}
		if id == "" {
			id = recordID("Account", a.org.records.Add(1))
		}
		out = append(out, map[string]any{"id": id, "success": true, "errors": []string{}})
	}
	return out
}

// inner runs one request of a composite and returns its answer.
func (s *Sim) inner(c *call, a *access, version, method, target string, body []byte) (int, map[string]string, any) {
	u, err := url.Parse(target)
	prefix := "/services/data/" + version + "/"
	// A batch names its resources from the version on.
	if err == nil && !strings.HasPrefix(u.Path, "/") {
		u.Path = "/services/data/" + u.Path
	}
	if err != nil || !strings.HasPrefix(u.Path, prefix) || strings.HasPrefix(u.Path, prefix+"composite") {
		return http.StatusBadRequest, map[string]string{}, json.RawMessage(restErrors("INVALID_INPUT", "The URL of a subrequest is wrong."))
	}
	r := c.Clone(c.Context())
	r.Method, r.URL, r.Body = method, u, io.NopCloser(bytes.NewReader(body))
	got := &recorder{discard: discard{header: http.Header{}}, status: http.StatusOK}
	s.resource(version, strings.TrimPrefix(u.Path, prefix))(got, &call{Request: r, name: c.name, path: u.Path, org: c.org}, a)
	var result any
	if json.Valid(got.body.Bytes()) {
		result = json.RawMessage(got.body.Bytes())
	}
	header := map[string]string{}
	if l := got.header.Get("Location"); l != "" {
		header["Location"] = l
	}
	return got.status, header, result
}

// recorder keeps the answer of an inner request.
type recorder struct {
	discard
	status int
	body   bytes.Buffer
}

func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }
