package sfsim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// sobjects serves the list, the descriptions and the records of objects.
// Records are counted, not kept. One of a platform event is published.
func (s *Sim) sobjects(base, tail string) func(http.ResponseWriter, *call, *access) {
	kind, id, _ := strings.Cut(tail, "/")
	return func(w http.ResponseWriter, c *call, a *access) {
		if id == "" && c.Method == http.MethodPost && kind != "" {
			s.create(w, c, a, kind)
			return
		}
		drain(c.Body)
		reads := c.Method == http.MethodGet || c.Method == http.MethodHead
		switch {
		case kind == "":
			answerJSON(w, c, a, http.StatusOK, marshal(map[string]any{"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": []any{describe(base, "Account"), describe(base, "Contact")}}))
		case reads && id == "describe":
			d := describe(base, kind)
			d["fields"] = []any{describeField("Id", "id", 18), describeField("Name", "string", 255)}
			d["childRelationships"], d["recordTypeInfos"] = []any{}, []any{}
			answerJSON(w, c, a, http.StatusOK, marshal(d))
		case reads && id == "":
			answerJSON(w, c, a, http.StatusOK, marshal(map[string]any{"objectDescribe": describe(base, kind), "recentItems": []any{}}))
		case c.Method == http.MethodPatch && strings.Contains(id, "/"): // upsert by an external id; it is always new
			n := a.org.records.Add(1)
			answerJSON(w, c, a, http.StatusCreated, marshal(map[string]any{"id": recordID(kind, n), "success": true, "errors": []string{}, "created": true}))
		case c.Method == http.MethodPatch || c.Method == http.MethodDelete:
			stamp(w, a)
			w.WriteHeader(http.StatusNoContent)
		case reads:
			q := soql{kind: kind, id: id, total: 1, fields: []string{"Id", "Name"}}
			if kind == "User" {
				q.fields = append(q.fields, "Username", "Email", "IsActive", "ProfileId")
			}
			answerJSON(w, c, a, http.StatusOK, marshal(q.record(base, a, 1)))
		default:
			stamp(w, a)
			restError(w, c, http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "HTTP Method '"+c.Method+"' not allowed")
		}
	}
}

// create makes one record.
func (s *Sim) create(w http.ResponseWriter, c *call, a *access, kind string) {
	var body []byte
	if c.Body != nil {
		body, _ = io.ReadAll(io.LimitReader(c.Body, maxParams)) // what came is what counts
		drain(c.Body)
	}
	if strings.HasSuffix(kind, "__e") && json.Valid(body) {
		s.comet.publish(a.org.ID, "/event/"+kind, body)
	}
	n := a.org.records.Add(1)
	answerJSON(w, c, a, http.StatusCreated, marshal(map[string]any{"id": recordID(kind, n), "success": true, "errors": []string{}}))
}

func recordID(kind string, n int64) string { return to18(fmt.Sprintf("%sWt%010d", prefixOf(kind), n)) }

func describe(base, kind string) map[string]any {
	return map[string]any{"name": kind, "label": kind, "keyPrefix": prefixOf(kind), "custom": false, "createable": true, "queryable": true,
		"updateable": true, "deletable": true,
		"urls": map[string]string{"sobject": base + "sobjects/" + kind, "describe": base + "sobjects/" + kind + "/describe", "rowTemplate": base + "sobjects/" + kind + "/{ID}"}}
}

func describeField(name, kind string, length int) map[string]any {
	return map[string]any{"name": name, "label": name, "type": kind, "length": length, "custom": false, "nillable": false, "createable": name != "Id", "updateable": name != "Id"}
}

// RecordsCreated returns how many records an org's REST and SOAP APIs created:
// what a request that was sent twice would show in.
func (s *Sim) RecordsCreated(orgRef string) (int, error) {
	n := 0
	err := s.withOrg(orgRef, func(o *org) { n = int(o.records.Load()) })
	return n, err
}
