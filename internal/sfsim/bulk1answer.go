package sfsim

import (
	"strconv"
	"strings"
)

// info is a job as Bulk 1.0 shows it, in its order of fields.
func (b *bulkCall) info(j *job) fields {
	state, batches, records := j.view()
	n := strconv.Itoa(len(batches))
	f := fields{{"id", j.id}, {"operation", j.operation}, {"object", j.object}, {"createdById", j.user.ID}, {"createdDate", j.created()},
		{"systemModstamp", j.created()}, {"state", state}}
	if j.external != "" {
		f = append(f, [2]string{"externalIdFieldName", j.external})
	}
	return append(f, fields{{"concurrencyMode", "Parallel"}, {"contentType", j.kind}, {"numberBatchesQueued", "0"}, {"numberBatchesInProgress", "0"},
		{"numberBatchesCompleted", n}, {"numberBatchesFailed", "0"}, {"numberBatchesTotal", n}, {"numberRecordsProcessed", strconv.Itoa(records)},
		{"numberRetries", "0"}, {"apiVersion", b.version}, {"numberRecordsFailed", "0"}, {"totalProcessingTime", "1"}, {"apiActiveProcessingTime", "1"}, {"apexProcessingTime", "0"}}...)
}

// state is a batch as Bulk 1.0 shows it.
func (b *bulkCall) state(j *job, x *batch, state string) fields {
	records := "0"
	if state == "Completed" {
		records = strconv.Itoa(x.records)
	}
	return fields{{"id", x.id}, {"jobId", j.id}, {"state", state}, {"createdDate", j.created()}, {"systemModstamp", j.created()},
		{"numberRecordsProcessed", records}, {"numberRecordsFailed", "0"}, {"totalProcessingTime", "1"}, {"apiActiveProcessingTime", "1"}, {"apexProcessingTime", "0"}}
}

// answer writes fields as JSON or as an element of XML.
func (b *bulkCall) answer(status int, element string, f fields) {
	kind, body := "application/xml;charset=UTF-8", []byte(xmlHead+"<"+element+bulkNS+">"+elements(f)+"</"+element+">")
	if b.json {
		kind, body = jsonType, f.jsonNumbers()
	}
	b.w.Header().Set("Content-Type", kind)
	b.w.WriteHeader(status)
	_, _ = b.w.Write(body) // a caller who left is no concern
}

func (b *bulkCall) text(kind string, body []byte) {
	b.w.Header().Set("Content-Type", kind)
	_, _ = b.w.Write(body) // a caller who left is no concern
}

func (b *bulkCall) fail(status int, code, message string) {
	b.answer(status, "error", fields{{"exceptionCode", code}, {"exceptionMessage", message}})
}

func elements(v any) string {
	f, _ := v.(fields)
	var b strings.Builder
	for _, kv := range f {
		b.WriteString("<" + kv[0] + ">" + escape(kv[1]) + "</" + kv[0] + ">")
	}
	return b.String()
}

// MarshalJSON writes the fields in their order.
func (f fields) MarshalJSON() ([]byte, error) { return f.jsonNumbers(), nil }

// jsonNumbers writes the fields in their order; counters and times, and the
// version, are numbers.
func (f fields) jsonNumbers() []byte {
	out := []byte{'{'}
	for i, kv := range f {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, marshal(kv[0])...)
		out = append(out, ':')
		if _, err := strconv.ParseFloat(kv[1], 64); err == nil && numeric(kv[0]) {
			out = append(out, kv[1]...)
		} else {
			out = append(out, marshal(kv[1])...)
		}
	}
	return append(out, '}')
}

func numeric(name string) bool {
	return strings.HasPrefix(name, "number") || strings.HasSuffix(name, "Time") || name == "apiVersion" || name == "retries"
}
