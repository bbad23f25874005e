package sfsim

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

const (
	xmlHead = `<?xml version="1.0" encoding="UTF-8"?>`
	bulkNS  = ` xmlns="http://www.force.com/2009/06/asyncapi/dataload"`
)

// bulk serves Bulk API 1.0, whose session is the header X-SFDC-Session. It is
// looked at before the body is read.
func (s *Sim) bulk(w http.ResponseWriter, c *call) {
	b := &bulkCall{call: c, sim: s, w: w, json: strings.Contains(c.Header.Get("Accept")+c.Header.Get("Content-Type"), "json")}
	a := s.enter(c, c.Header.Get("X-Sfdc-Session"))
	defer drain(c.Body)
	if a == nil {
		drain(c.Body)
		b.fail(http.StatusBadRequest, "InvalidSessionId", "Invalid session id")
		return
	}
	stamp(w, a)
	b.session = a
	version, rest := cut(strings.TrimPrefix(c.path, "/services/async/"))
	b.version = version
	part := strings.Split(rest, "/")
	if part[0] != "job" || len(part) > 6 {
		b.fail(http.StatusBadRequest, "InvalidUrl", "Destination URL not found")
		return
	}
	if len(part) == 1 {
		b.open()
		return
	}
	j := s.jobOf(a, part[1])
	switch {
	case j == nil:
		b.fail(http.StatusBadRequest, "InvalidJob", "Unable to find object: "+part[1])
	case len(part) == 2:
		b.job(j)
	case part[2] == "batch":
		b.batches(j, part[3:])
	default:
		b.fail(http.StatusBadRequest, "InvalidUrl", "Destination URL not found")
	}
}

// bulkCall is one call of Bulk 1.0.
type bulkCall struct {
	*call
	sim     *Sim
	w       http.ResponseWriter
	session *access
	version string
	json    bool
}

type jobInfo struct {
	Operation string `json:"operation" xml:"operation"`
	Object    string `json:"object" xml:"object"`
	Kind      string `json:"contentType" xml:"contentType"`
	External  string `json:"externalIdFieldName" xml:"externalIdFieldName"`
	State     string `json:"state" xml:"state"`
}

func (b *bulkCall) read() jobInfo {
	var info jobInfo
	body, _ := io.ReadAll(io.LimitReader(b.Body, maxParams)) // a broken body doesn't parse
	if strings.Contains(b.Header.Get("Content-Type"), "json") {
		_ = json.Unmarshal(body, &info) // the fields stay empty
	} else {
		_ = xml.Unmarshal(body, &info)
	}
	return info
}

// open makes a job.
func (b *bulkCall) open() {
	if b.Method != http.MethodPost {
		b.fail(http.StatusMethodNotAllowed, "ClientInputError", "HTTP method not allowed")
		return
	}
	info := b.read()
	j := b.sim.newJob(b.session, &job{operation: info.Operation, object: info.Object, kind: info.Kind, external: info.External, state: "Open"})
	b.answer(http.StatusCreated, "jobInfo", b.info(j))
}

// job shows a job or changes its state.
func (b *bulkCall) job(j *job) {
	if b.Method == http.MethodPost {
		state := b.read().State
		if state != "Closed" && state != "Aborted" {
			b.fail(http.StatusBadRequest, "InvalidJobState", "Invalid state "+strconv.Quote(state))
			return
		}
		j.set(state)
	}
	b.answer(http.StatusOK, "jobInfo", b.info(j))
}

// batches serves what lies below a job's /batch.
func (b *bulkCall) batches(j *job, part []string) {
	if len(part) == 0 {
		b.list(j)
		return
	}
	x := j.batch(part[0])
	switch {
	case x == nil:
		b.fail(http.StatusBadRequest, "InvalidBatch", "Unable to find batch: "+part[0])
	case len(part) == 1:
		b.answer(http.StatusOK, "batchInfo", b.state(j, x, "Completed"))
	case part[1] == "result" && len(part) == 2:
		b.results(j, x)
	case part[1] == "result" && x.query != "":
		q, _ := readSOQL(x.query)
		b.text("text/csv;charset=UTF-8", q.csv(b.session, 1, q.total+1))
	default:
		b.fail(http.StatusBadRequest, "InvalidUrl", "Destination URL not found")
	}
}

// list shows a job's batches, or takes a new one, of any length.
func (b *bulkCall) list(j *job) {
	if b.Method != http.MethodPost {
		_, batches, _ := j.view()
		var all []any
		for _, x := range batches {
			all = append(all, b.state(j, x, "Completed"))
		}
		if b.json {
			b.text(jsonType, marshal(map[string]any{"batchInfo": all}))
			return
		}
		text := xmlHead + "<batchInfoList" + bulkNS + ">"
		for _, x := range batches {
			text += "<batchInfo>" + elements(b.state(j, x, "Completed")) + "</batchInfo>"
		}
		b.text("application/xml;charset=UTF-8", []byte(text+"</batchInfoList>"))
		return
	}
	x := &batch{id: b.sim.mint.id("751")}
	var err error
	switch kind := b.Header.Get("Content-Type"); {
	case strings.HasPrefix(j.operation, "query"):
		var text []byte
		if text, err = io.ReadAll(io.LimitReader(b.Body, maxParams)); err == nil {
			q, ok := readSOQL(string(text))
			if !ok {
				b.fail(http.StatusBadRequest, "InvalidBatch", "the query can't be read")
				return
			}
			x.query, x.records = string(text), q.total
		}
	case strings.Contains(kind, "json"):
		x.records, err = countJSON(b.Body)
	case strings.Contains(kind, "csv"):
		x.records, err = countCSV(b.Body)
	default:
		x.records, err = countXML(b.Body, "sObject")
	}
	if err != nil {
		b.fail(http.StatusBadRequest, "InvalidBatch", "the batch can't be read")
		return
	}
	j.add(x)
	b.answer(http.StatusCreated, "batchInfo", b.state(j, x, "Queued"))
}

// maxResults is how many results of a batch are told.
const maxResults = 10_000

// results answers what became of a batch's records, or names a query's result.
func (b *bulkCall) results(j *job, x *batch) {
	result := to18("752" + x.id[3:15])
	switch {
	case x.query != "" && b.json:
		b.text(jsonType, marshal([]string{result}))
	case x.query != "":
		b.text("application/xml;charset=UTF-8", []byte(xmlHead+"<result-list"+bulkNS+"><result>"+result+"</result></result-list>"))
	case j.kind == "JSON":
		all := []any{}
		for i := range min(x.records, maxResults) {
			all = append(all, map[string]any{"success": true, "created": true, "id": recordID(j.object, int64(i+1)), "errors": []any{}})
		}
		b.text(jsonType, marshal(all))
	case j.kind == "CSV":
		text := []byte("\"Id\",\"Success\",\"Created\",\"Error\"\n")
		for i := range min(x.records, maxResults) {
			text = fmt.Appendf(text, "%q,\"true\",\"true\",\"\"\n", recordID(j.object, int64(i+1)))
		}
		b.text("text/csv;charset=UTF-8", text)
	default:
		text := []byte(xmlHead + "<results" + bulkNS + ">")
		for i := range min(x.records, maxResults) {
			text = fmt.Appendf(text, "<result><id>%s</id><success>true</success><created>true</created></result>", recordID(j.object, int64(i+1)))
		}
		b.text("application/xml;charset=UTF-8", append(text, "</results>"...))
	}
}
