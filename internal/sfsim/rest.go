package sfsim

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

const (
	oldestVersion = 31
	newestVersion = 67
	jsonType      = "application/json;charset=UTF-8"
)

var versions = func() []byte {
	type version struct {
		Label   string `json:"label"`
		URL     string `json:"url"`
		Version string `json:"version"`
	}
	var all []version
	for v := oldestVersion; v <= newestVersion; v++ {
		n := strconv.Itoa(v) + ".0"
		all = append(all, version{"v" + n, "/services/data/v" + n, n})
	}
	return marshal(all)
}()

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only called with types that marshal
	}
	return b
}

// data serves /services/data.
func (s *Sim) data(w http.ResponseWriter, c *call) {
	rest := strings.Trim(strings.TrimPrefix(c.path, "/services/data"), "/")
	if rest == "" { // the list of versions needs no session
		s.stray(c, "")
		w.Header().Set("Content-Type", jsonType)
		_, _ = w.Write(versions) // a caller who left is no concern
		return
	}
	version, rest, _ := strings.Cut(rest, "/")
	n, err := strconv.ParseFloat(strings.TrimPrefix(version, "v"), 64)
	if err != nil || version[0] != 'v' || n < oldestVersion || n > newestVersion {
		restError(w, c, http.StatusNotFound, "NOT_FOUND", "The requested resource does not exist")
		return
	}
	s.session(s.resource(version, rest))(w, c)
}

func (s *Sim) resource(version, rest string) func(http.ResponseWriter, *call, *access) {
	head, tail, _ := strings.Cut(rest, "/")
	base := "/services/data/" + version + "/"
	switch head {
	case "apps":
		return s.appsResource(version, tail)
	case "":
		return static(map[string]string{"sobjects": base + "sobjects", "query": base + "query", "limits": base + "limits", "jobs": base + "jobs"})
	case "query", "queryAll":
		return s.query(base)
	case "sobjects":
		return s.sobjects(base, tail)
	case "limits":
		return s.limits
	case "jobs":
		return static(map[string]any{"done": true, "records": []any{}, "nextRecordsUrl": nil})
	case "echo":
		return s.echo
	case "stream":
		return s.stream
	case "upload":
		return s.upload
	}
	return func(w http.ResponseWriter, c *call, a *access) {
		stamp(w, a)
		restError(w, c, http.StatusNotFound, "NOT_FOUND", "The requested resource does not exist")
	}
}

func static(v any) func(http.ResponseWriter, *call, *access) {
	body := marshal(v)
	return func(w http.ResponseWriter, c *call, a *access) { answerJSON(w, c, a, http.StatusOK, body) }
}

var fromClause = regexp.MustCompile(`(?i)\bFROM\s+(\w+)`)

func (s *Sim) query(base string) func(http.ResponseWriter, *call, *access) {
	return func(w http.ResponseWriter, c *call, a *access) {
		m := fromClause.FindStringSubmatch(c.URL.Query().Get("q"))
		if m == nil {
			stamp(w, a)
			restError(w, c, http.StatusBadRequest, "MALFORMED_QUERY", "unexpected token: '<EOF>'")
			return
		}
		answerJSON(w, c, a, http.StatusOK, marshal(map[string]any{
			"totalSize": 1, "done": true, "records": []any{record(base, m[1], to18("001Wt0000000001"))}}))
	}
}

func record(base, kind, id string) map[string]any {
	return map[string]any{"attributes": map[string]string{"type": kind, "url": base + "sobjects/" + kind + "/" + id}, "Id": id, "Name": kind + " 1"}
}

// sobjects serves the list, the description and the records of an object.
// Records are counted, not kept.
func (s *Sim) sobjects(base, tail string) func(http.ResponseWriter, *call, *access) {
	kind, id, _ := strings.Cut(tail, "/")
	return func(w http.ResponseWriter, c *call, a *access) {
		drain(c.Body)
		switch {
		case kind == "":
			answerJSON(w, c, a, http.StatusOK, marshal(map[string]any{"encoding": "UTF-8", "sobjects": []map[string]string{{"name": "Account"}, {"name": "Contact"}}}))
		case id == "" && c.Method == http.MethodPost:
			n := a.org.records.Add(1)
			answerJSON(w, c, a, http.StatusCreated, marshal(map[string]any{"id": to18(fmt.Sprintf("001Wt%010d", n)), "success": true, "errors": []string{}}))
		case c.Method == http.MethodPatch || c.Method == http.MethodDelete:
			stamp(w, a)
			w.WriteHeader(http.StatusNoContent)
		case c.Method == http.MethodGet || c.Method == http.MethodHead:
			answerJSON(w, c, a, http.StatusOK, marshal(record(base, kind, id)))
		default:
			stamp(w, a)
			restError(w, c, http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "HTTP Method '"+c.Method+"' not allowed")
		}
	}
}

// RecordsCreated returns how many records an org's REST API created: what a
// request that was sent twice would show in.
func (s *Sim) RecordsCreated(orgRef string) (int, error) {
	n := 0
	err := s.withOrg(orgRef, func(o *org) { n = int(o.records.Load()) })
	return n, err
}

func (s *Sim) limits(w http.ResponseWriter, c *call, a *access) {
	answerJSON(w, c, a, http.StatusOK, marshal(map[string]any{
		"DailyApiRequests": map[string]int64{"Max": 5_000_000, "Remaining": 5_000_000 - a.org.calls.Load()}}))
}

// answerJSON writes an admitted call's answer, compressed when the query's
// gzip=1 and Accept-Encoding ask for it.
func answerJSON(w http.ResponseWriter, c *call, a *access, status int, body []byte) {
	stamp(w, a)
	w.Header().Set("Content-Type", jsonType)
	if !wantsGzip(c) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(status)
		_, _ = w.Write(body) // a caller who left is no concern
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	w.WriteHeader(status)
	z := gzip.NewWriter(w)
	_, _ = z.Write(body)
	_ = z.Close()
}

func wantsGzip(c *call) bool {
	return c.URL.RawQuery != "" && c.URL.Query().Get("gzip") == "1" && strings.Contains(c.Header.Get("Accept-Encoding"), "gzip")
}

// restError answers as REST does: JSON, or XML if Accept asks for it.
func restError(w http.ResponseWriter, c *call, status int, code, message string) {
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Token")
	}
	if accept := c.Header.Get("Accept"); strings.Contains(accept, "application/xml") && !strings.Contains(accept, "application/json") {
		w.Header().Set("Content-Type", "application/xml;charset=UTF-8")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Errors><Error><errorCode>%s</errorCode><message>%s</message></Error></Errors>`, code, message)
		return
	}
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(status)
	_, _ = w.Write(restErrors(code, message))
}

// restErrors is the body of a REST error, in Salesforce's order of fields.
func restErrors(code, message string) []byte {
	return marshal([]struct {
		Message   string `json:"message"`
		ErrorCode string `json:"errorCode"`
	}{{message, code}})
}

// drain reads a body to its end and returns its length.
func drain(r io.Reader) int64 {
	if r == nil {
		return 0
	}
	n, _ := io.Copy(io.Discard, r) // what came is what counts
	return n
}
