package clients_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
)

// gigabyte is how long the bodies are, and most how much the proxy's memory may
// grow by one.
const (
	gigabyte = 1 << 30
	most     = 64 << 20
)

// TestAGigabyteIsStreamed sends a gigabyte to Bulk 1.0, to Bulk 2.0 and to SOAP,
// and looks at the memory of serve.
func TestAGigabyteIsStreamed(t *testing.T) {
	l := salesforce(t)
	begin(t, l)
	c := l.NewClient()
	c.Timeout = 10 * time.Minute
	data := "https://" + host + "/services/data/v65.0"
	async := "https://" + host + "/services/async/65.0/job"
	const head = "Name,Description\n"
	row := "Acme," + strings.Repeat("x", 1018) + "\n" // 1 KiB

	t.Run("Bulk 1.0", func(t *testing.T) {
		_, answer := send(t, c, "POST", async, "application/xml", strings.NewReader(`<jobInfo xmlns="http://www.force.com/2009/06/asyncapi/dataload"><operation>insert</operation><object>Account</object><contentType>CSV</contentType></jobInfo>`))
		job := between(t, answer, "<id>", "</id>")
		var batch string
		flat(t, l, func(again bool) bool {
			status, answer := send(t, c, "POST", async+"/"+job+"/batch", "text/csv", repeated(head, row, ""))
			if status == http.StatusBadRequest && strings.Contains(answer, "InvalidSessionId") && again {
				return false
			}
			batch = between(t, answer, "<id>", "</id>")
			return true
		})
		_, answer = send(t, c, "GET", async+"/"+job+"/batch/"+batch, "", nil)
		if n := between(t, answer, "<numberRecordsProcessed>", "</"); n != strconv.Itoa(gigabyte/len(row)) {
			t.Errorf("%s records arrived, not %d", n, gigabyte/len(row))
		}
	})
	t.Run("Bulk 2.0", func(t *testing.T) {
		_, answer := send(t, c, "POST", data+"/jobs/ingest", "application/json", strings.NewReader(`{"object":"Account","operation":"insert","contentType":"CSV"}`))
		job := between(t, answer, `"id":"`, `"`)
		flat(t, l, func(again bool) bool {
			status, answer := send(t, c, "PUT", data+"/jobs/ingest/"+job+"/batches", "text/csv", repeated(head, row, ""))
			if status == http.StatusUnauthorized && again {
				return false
			}
			if status != http.StatusCreated {
				t.Fatalf("%d %s", status, answer)
			}
			return true
		})
		_, answer = send(t, c, "GET", data+"/jobs/ingest/"+job, "", nil)
		if n := between(t, answer, `"numberRecordsProcessed":`, ","); n != strconv.Itoa(gigabyte/len(row)) {
			t.Errorf("%s records arrived, not %d", n, gigabyte/len(row))
		}
	})
	t.Run("SOAP", func(t *testing.T) {
		begin := `<?xml version="1.0" encoding="UTF-8"?><e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:m="http://soap.sforce.com/2006/04/metadata"><e:Header><m:SessionHeader><m:sessionId>` +
			placeholder() + `</m:sessionId></m:SessionHeader></e:Header><e:Body><m:deploy><m:ZipFile>`
		flat(t, l, func(again bool) bool {
			status, answer := send(t, c, "POST", "https://"+host+"/services/Soap/m/65.0", "text/xml; charset=UTF-8", repeated(begin, strings.Repeat("UEsDBBQA", 128), `</m:ZipFile></m:deploy></e:Body></e:Envelope>`))
			if status == http.StatusInternalServerError && strings.Contains(answer, "INVALID_SESSION_ID") && again {
				return false
			}
			if between(t, answer, "<state>", "</state>") != "Queued" {
				t.Fatalf("%d %s", status, answer)
			}
			return true
		})
	})
	if err := l.Sim.Ledger().Err(); err != nil {
		t.Error(err)
	}
}

// flat demands that serve's memory doesn't grow by what upload sends. An upload
// that meets the end of a session says false, and is sent again.
func flat(t *testing.T, l *lab.Lab, upload func(again bool) bool) {
	t.Helper()
	clearPeak(t, l.Pid())
	before, began := memory(t, l.Pid(), "VmRSS"), time.Now()
	tries := 1
	for ; !upload(tries < 3); tries++ {
	}
	took, peak := time.Since(began), memory(t, l.Pid(), "VmHWM")
	t.Logf("%d × 1 GiB in %v; serve had %d MiB, and at most %d MiB", tries, took.Round(time.Millisecond), before>>20, peak>>20)
	if peak-before > most {
		t.Errorf("serve grew by %d MiB", (peak-before)>>20)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapInuse > 4*most {
		t.Errorf("the simulator's heap is %d MiB", m.HeapInuse>>20)
	}
}

// clearPeak has Linux forget a process's peak.
func clearPeak(t *testing.T, pid int) {
	t.Helper()
	must(t, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0))
}

// memory reads a size from /proc/PID/status.
func memory(t *testing.T, pid int, name string) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	fields := strings.Fields(between(t, string(b), name+":", "kB"))
	n, err := strconv.ParseInt(fields[0], 10, 64)
	must(t, err)
	return n << 10
}

// repeated is a gigabyte of part, between begin and end; nobody knows its length.
func repeated(begin, part, end string) io.Reader {
	block := bytes.Repeat([]byte(part), 64)
	return io.MultiReader(strings.NewReader(begin), &endless{block: block, left: gigabyte / len(block) * len(block)}, strings.NewReader(end))
}

type endless struct {
	block []byte
	at    int
	left  int
}

// Read implements io.Reader.
func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), e.left)], e.block[e.at:])
	e.at = (e.at + n) % len(e.block)
	e.left -= n
	return n, nil
}

func send(t *testing.T, c *http.Client, method, url, kind string, body io.Reader) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	must(t, err)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := c.Do(req)
	must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(b)
}

func between(t *testing.T, text, begin, end string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, begin)
	value, _, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("no %q in %.500q", begin, text)
	}
	return value
}
