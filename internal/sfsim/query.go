package sfsim

import (
	"net/http"
	"strconv"
	"strings"
)

// maxPage is the most records in one page of a query's answer.
const maxPage = 2000

// query serves /query, /queryAll, their further pages and columns=true.
func (s *Sim) query(base, tail string) func(http.ResponseWriter, *call, *access) {
	return func(w http.ResponseWriter, c *call, a *access) {
		drain(c.Body)
		if tail != "" {
			s.queryMore(w, c, a, base, tail)
			return
		}
		q, ok := readSOQL(c.URL.Query().Get("q"))
		switch {
		case !ok:
			stamp(w, a)
			restError(w, c, http.StatusBadRequest, "MALFORMED_QUERY", "unexpected token: '<EOF>'")
		case strings.EqualFold(q.kind, "ScratchOrgInfo"): // exists in Dev Hubs only
			stamp(w, a)
			restError(w, c, http.StatusBadRequest, "INVALID_TYPE", "sObject type 'ScratchOrgInfo' is not supported.")
		case strings.EqualFold(q.kind, loginHistory):
			s.logins(w, c, a, base, q)
		case c.URL.Query().Get("columns") == "true":
			answerJSON(w, c, a, http.StatusOK, marshal(q.columns()))
		default:
			answerJSON(w, c, a, http.StatusOK, marshal(s.page(c, a, base, q, to18("01gWt"+s.mint.random(10)), 0)))
		}
	}
}

// queryMore serves a page by its locator, ID-OFFSET.
func (s *Sim) queryMore(w http.ResponseWriter, c *call, a *access, base, locator string) {
	id, offset, _ := strings.Cut(locator, "-")
	n, err := strconv.Atoi(offset)
	q := s.queries.get(id)
	if q == nil || err != nil || n < 0 || n >= q.total {
		stamp(w, a)
		restError(w, c, http.StatusBadRequest, "INVALID_QUERY_LOCATOR", "invalid query locator")
		return
	}
	answerJSON(w, c, a, http.StatusOK, marshal(s.page(c, a, base, *q, id, n)))
}

// page makes one page from the record at offset on, and keeps the query when
// there are more.
func (s *Sim) page(c *call, a *access, base string, q soql, id string, offset int) map[string]any {
	if q.count {
		return map[string]any{"totalSize": q.total, "done": true, "records": []any{}}
	}
	end := min(q.total, offset+pageSize(c))
	records := []any{}
	for n := offset; n < end; n++ {
		records = append(records, q.record(base, a, n+1))
	}
	page := map[string]any{"totalSize": q.total, "done": end == q.total, "records": records}
	if end < q.total {
		if offset == 0 {
			s.queries.put(id, &q)
		}
		page["nextRecordsUrl"] = base + "query/" + id + "-" + strconv.Itoa(end)
	}
	return page
}

// pageSize reads Sforce-Query-Options: batchSize=N, from 200 to 2000.
func pageSize(c *call) int {
	_, size, ok := strings.Cut(c.Header.Get("Sforce-Query-Options"), "batchSize=")
	n, err := strconv.Atoi(strings.TrimSpace(size))
	if !ok || err != nil {
		return maxPage
	}
	return max(200, min(n, maxPage))
}

// columns describes a query's columns.
func (q soql) columns() map[string]any {
	all := []any{}
	for _, f := range q.fields {
		all = append(all, map[string]any{"aggregate": strings.HasSuffix(f, ")"), "apexType": "String", "booleanType": false, "columnName": f,
			"custom": false, "displayName": f, "foreignKeyName": nil, "insertable": true, "joinColumns": []any{}, "numberType": false, "textType": true, "updatable": true})
	}
	return map[string]any{"columnMetadata": all, "entityName": q.kind, "groupBy": false, "idSelected": true, "keyPrefix": prefixOf(q.kind)}
}
