package sfsim

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
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
	head, tail := cut(rest)
	base := "/services/data/" + version + "/"
	switch head {
	case "apps":
		return s.appsResource(version, tail)
	case "":
		return func(w http.ResponseWriter, c *call, a *access) {
			all := map[string]string{"identity": a.user.identity}
			for _, name := range []string{"composite", "graphql", "jobs", "limits", "query", "queryAll", "sobjects", "tooling"} {
				all[name] = base + name
			}
			answerJSON(w, c, a, http.StatusOK, marshal(all))
		}
	case "query", "queryAll":
		return s.query(base, tail)
	case "sobjects":
		return s.sobjects(base, tail)
	case "limits":
		return s.limits
	case "jobs":
		return s.bulk2(version, tail)
	case "composite":
		return s.composite(version, tail)
	case "graphql":
		return s.graphql
	case "tooling":
		return s.tooling(base, tail)
	case "echo":
		return s.echo
	case "stream":
		return s.stream
	case "upload":
		return s.upload
	}
	return notThere
}

// cut splits a path at its first slash.
func cut(path string) (head, tail string) {
	head, tail, _ = strings.Cut(path, "/")
	return head, tail
}

func notThere(w http.ResponseWriter, c *call, a *access) {
	drain(c.Body)
	stamp(w, a)
	restError(w, c, http.StatusNotFound, "NOT_FOUND", "The requested resource does not exist")
}

func static(v any) func(http.ResponseWriter, *call, *access) {
	body := marshal(v)
	return func(w http.ResponseWriter, c *call, a *access) { answerJSON(w, c, a, http.StatusOK, body) }
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
