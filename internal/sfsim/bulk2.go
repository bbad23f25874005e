package sfsim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// bulk2 serves /jobs/ingest and /jobs/query, whose session is REST's.
func (s *Sim) bulk2(version, tail string) func(http.ResponseWriter, *call, *access) {
	kind, rest := cut(tail)
	id, what := cut(rest)
	return func(w http.ResponseWriter, c *call, a *access) {
		defer drain(c.Body)
		b := bulk2Call{call: c, sim: s, w: w, session: a, version: version, kind: kind}
		switch {
		case kind != "ingest" && kind != "query":
			notThere(w, c, a)
		case id == "" && c.Method == http.MethodPost:
			b.open()
		case id == "":
			answerJSON(w, c, a, http.StatusOK, marshal(map[string]any{"done": true, "records": []any{}, "nextRecordsUrl": nil}))
		default:
			if j := s.jobOf(a, id); j != nil {
				b.job(j, what)
			} else {
				notThere(w, c, a)
			}
		}
	}
}

// bulk2Call is one call of Bulk 2.0.
type bulk2Call struct {
	*call
	sim     *Sim
	w       http.ResponseWriter
	session *access
	version string
	kind    string // ingest or query
}

func (b *bulk2Call) open() {
	var q struct {
		Object, Operation, Query string
		ExternalIDFieldName      string `json:"externalIdFieldName"`
	}
	err := json.NewDecoder(io.LimitReader(b.Body, maxParams)).Decode(&q)
	found, readable := readSOQL(q.Query)
	if err != nil || b.kind == "ingest" && q.Object == "" || b.kind == "query" && !readable {
		b.refuse("INVALIDJOB", "InvalidJob : the job can't be read")
		return
	}
	j := &job{operation: q.Operation, object: q.Object, external: q.ExternalIDFieldName, state: "Open"}
	if b.kind == "query" {
		j.state, j.object, j.soql = "UploadComplete", found.kind, q.Query
		j.batches = []*batch{{records: found.total}}
	}
	b.show(b.sim.newJob(b.session, j))
}

// job serves one job.
func (b *bulk2Call) job(j *job, what string) {
	state, batches, records := j.view()
	switch {
	case what == "" && b.Method == http.MethodGet:
		if state == "UploadComplete" {
			j.set("JobComplete")
		}
		b.show(j)
	case what == "" && b.Method == http.MethodPatch:
		b.change(j)
	case what == "" && b.Method == http.MethodDelete:
		stamp(b.w, b.session)
		b.w.WriteHeader(http.StatusNoContent)
	case what == "batches" && b.Method == http.MethodPut && b.kind == "ingest":
		if state != "Open" || len(batches) > 0 {
			b.refuse("INVALIDJOBSTATE", "Job object is locked: it has its data")
			return
		}
		n, err := countCSV(b.Body)
		if err != nil {
			b.cut = true
			return
		}
		j.add(&batch{records: n})
		stamp(b.w, b.session)
		b.w.WriteHeader(http.StatusCreated)
	case what == "results" && b.kind == "query":
		b.results(j)
	case what == "successfulResults":
		text := []byte("\"sf__Id\",\"sf__Created\"\n")
		for i := range min(records, maxResults) {
			text = fmt.Appendf(text, "%q,\"true\"\n", recordID(j.object, int64(i+1)))
		}
		b.csv(text)
	case what == "failedResults":
		b.csv([]byte("\"sf__Id\",\"sf__Error\"\n"))
	case strings.EqualFold(what, "unprocessedrecords"):
		b.csv(nil)
	default:
		notThere(b.w, b.call, b.session)
	}
}

// change closes or aborts a job.
func (b *bulk2Call) change(j *job) {
	var q struct{ State string }
	if json.NewDecoder(io.LimitReader(b.Body, maxParams)).Decode(&q) != nil || q.State != "UploadComplete" && q.State != "Aborted" {
		b.refuse("INVALIDJOBSTATE", "Invalid state")
		return
	}
	j.set(q.State)
	b.show(j)
}

// results sends a query's records from a locator, a record's number, on.
func (b *bulk2Call) results(j *job) {
	q, _ := readSOQL(j.soql)
	from, size := number(b.URL.Query().Get("locator"), 0), number(b.URL.Query().Get("maxRecords"), maxFound)
	if from < 0 || size < 1 || from > q.total {
		b.refuse("INVALID_QUERY_LOCATOR", "invalid locator")
		return
	}
	end, next := min(q.total, from+size), "null"
	if end < q.total {
		next = strconv.Itoa(end)
	}
	b.w.Header().Set("Sforce-Locator", next)
	b.w.Header().Set("Sforce-NumberOfRecords", strconv.Itoa(end-from))
	b.csv(q.csv(b.session, from+1, end+1))
}

func (b *bulk2Call) csv(body []byte) {
	stamp(b.w, b.session)
	b.w.Header().Set("Content-Type", "text/csv;charset=UTF-8")
	_, _ = b.w.Write(body) // a caller who left is no concern
}

func (b *bulk2Call) refuse(code, message string) {
	stamp(b.w, b.session)
	restError(b.w, b.call, http.StatusBadRequest, code, message)
}

// show answers a job.
func (b *bulk2Call) show(j *job) {
	state, _, records := j.view()
	f := fields{{"id", j.id}, {"operation", j.operation}, {"object", j.object}, {"createdById", j.user.ID}, {"createdDate", j.created()},
		{"systemModstamp", j.created()}, {"state", state}, {"concurrencyMode", "Parallel"}, {"contentType", "CSV"},
		{"apiVersion", strings.TrimPrefix(b.version, "v")}, {"lineEnding", "LF"}, {"columnDelimiter", "COMMA"}}
	if j.external != "" {
		f = append(f, [2]string{"externalIdFieldName", j.external})
	}
	jobType := "V2Query"
	if b.kind == "ingest" {
		jobType = "V2Ingest"
		f = append(f, [2]string{"contentUrl", "services/data/" + b.version + "/jobs/ingest/" + j.id + "/batches"})
	}
	f = append(f, fields{{"jobType", jobType}, {"numberRecordsProcessed", strconv.Itoa(records)}, {"numberRecordsFailed", "0"}, {"retries", "0"},
		{"totalProcessingTime", "1"}, {"apiActiveProcessingTime", "1"}, {"apexProcessingTime", "0"}}...)
	answerJSON(b.w, b.call, b.session, http.StatusOK, f.jsonNumbers())
}
