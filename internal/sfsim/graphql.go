package sfsim

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
)

var graphObject = regexp.MustCompile(`uiapi\s*\{\s*query\s*\{\s*(\w+)`)

// graphql answers a query of uiapi with one record.
func (s *Sim) graphql(w http.ResponseWriter, c *call, a *access) {
	var q struct {
		Query string `json:"query"`
	}
	err := json.NewDecoder(io.LimitReader(c.Body, maxParams)).Decode(&q)
	drain(c.Body)
	m := graphObject.FindStringSubmatch(q.Query)
	if err != nil || m == nil {
		answerJSON(w, c, a, http.StatusOK, marshal(map[string]any{"data": map[string]any{}, "errors": []any{
			map[string]any{"message": "Invalid Syntax", "extensions": map[string]string{"ErrorType": "InvalidSyntax"}}}}))
		return
	}
	one := soql{kind: m[1], total: 1}
	node := map[string]any{"Id": one.idOf(1), "Name": map[string]string{"value": m[1] + " 1"}}
	answerJSON(w, c, a, http.StatusOK, marshal(map[string]any{"errors": []any{}, "data": map[string]any{"uiapi": map[string]any{"query": map[string]any{
		m[1]: map[string]any{"edges": []any{map[string]any{"node": node}}, "totalCount": 1}}}}}))
}

// tooling serves the Tooling API's queries, objects and executeAnonymous, which
// runs nothing.
func (s *Sim) tooling(base, tail string) func(http.ResponseWriter, *call, *access) {
	head, rest := cut(tail)
	base += "tooling/"
	switch head {
	case "":
		return static(map[string]string{"query": base + "query", "sobjects": base + "sobjects", "executeAnonymous": base + "executeAnonymous"})
	case "query":
		return s.query(base, rest)
	case "sobjects":
		return s.sobjects(base, rest)
	case "executeAnonymous":
		return static(map[string]any{"line": -1, "column": -1, "compiled": true, "success": true, "compileProblem": nil, "exceptionStackTrace": nil, "exceptionMessage": nil})
	}
	return notThere
}
