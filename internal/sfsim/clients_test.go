package sfsim_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/sfsim"
)

// What the answers of each API hold for the real clients that read them.
func TestWhatRealClientsAsk(t *testing.T) {
	f := setup(t)
	a := f.grant().AccessToken
	const soql = "/query?q=SELECT+"
	rest := func(method, path, body string) reply {
		return f.send(method, base+path, body, "Authorization", "Bearer "+a, "Content-Type", "application/json")
	}
	for _, c := range []struct {
		name         string
		method, path string
		body         string
		status       int
		want         string
	}{
		{"a path with a doubled slash", "GET", "/" + v67 + "/limits", "", 200, "DailyApiRequests"},
		{"the resources of a version, for jsforce's identity", "GET", v67, "", 200, `"identity":"https://login.salesforce.com/id/00D`},
		{"a query of chosen fields", "GET", v67 + soql + "Id,Name+FROM+Account", "", 200, `"totalSize":1`},
		{"a count", "GET", v67 + soql + "COUNT()+FROM+Account+LIMIT+12", "", 200, `"totalSize":12`},
		{"a parent's field", "GET", v67 + soql + "Owner.Name+FROM+Account", "", 200, `"Owner":{"Name":"Account 1"`},
		{"a query by id", "GET", v67 + soql + "Id+FROM+Account+WHERE+Id='001000000000001AAA'", "", 200, `"Id":"001000000000001AAA"`},
		{"the columns of a query, for the sf CLI", "GET", v67 + "/query?columns=true&q=SELECT+Id,Name+FROM+Account", "", 200, `"columnName":"Name"`},
		{"a page of nobody's", "GET", v67 + "/query/01gWt0000000001AAA-2000", "", 400, "INVALID_QUERY_LOCATOR"},
		{"what the sf CLI asks at login", "GET", v67 + soql + "Id+FROM+ScratchOrgInfo+limit+1", "", 400, "INVALID_TYPE"},
		{"the org", "GET", v67 + soql + "Name,InstanceName,IsSandbox,TrialExpirationDate+FROM+Organization", "", 200, `"IsSandbox":false`},
		{"the user, of an old version", "GET", "/services/data/v51.0/sobjects/User/005Wt0000000001AAA", "", 200, `"Username":"bot@acme.test"`},
		{"a description", "GET", v67 + "/sobjects/Account/describe", "", 200, `"fields":[`},
		{"a change", "PATCH", v67 + "/sobjects/Account/001000000000001AAA", `{}`, 204, ""},
		{"an upsert", "PATCH", v67 + "/sobjects/Account/Ext__c/7", `{}`, 201, `"created":true`},
		{"composite", "POST", v67 + "/composite", `{"compositeRequest":[{"method":"POST","url":"` + v67 + `/sobjects/Account","referenceId":"r","body":{}},{"method":"GET","url":"/services/oauth2/userinfo","referenceId":"s"}]}`, 200, `"httpStatusCode":201,"referenceId":"r"},{"body":[{"message":`},
		{"a batch", "POST", v67 + "/composite/batch", `{"batchRequests":[{"method":"GET","url":"v67.0/limits"}]}`, 200, `"results":[{"result":{"DailyApiRequests"`},
		{"a collection", "POST", v67 + "/composite/sobjects", `{"records":[{"attributes":{"type":"Account"}},{"Id":"001000000000001AAA"}]}`, 200, `"id":"001000000000001AAA","success":true}]`},
		{"a collection's end", "DELETE", v67 + "/composite/sobjects?ids=001000000000001AAA", "", 200, `"success":true`},
		{"a composite of no JSON", "POST", v67 + "/composite", "", 400, "JSON_PARSER_ERROR"},
		{"GraphQL", "POST", v67 + "/graphql", `{"query":"query { uiapi { query { Account { edges { node { Id } } } } } }"}`, 200, `"Account":{"edges":[{"node":{"Id":"001`},
		{"GraphQL that can't be read", "POST", v67 + "/graphql", `{"query":"{"}`, 200, "InvalidSyntax"},
		{"Tooling", "GET", v67 + "/tooling/query?q=SELECT+Id+FROM+ApexClass", "", 200, `"url":"/services/data/v67.0/tooling/sobjects/ApexClass/`},
		{"what is not there", "GET", v67 + "/nothing", "", 404, "NOT_FOUND"},
	} {
		t.Run(c.name, func(t *testing.T) { rest(c.method, c.path, c.body).want(t, c.status, c.want) })
	}
	f.violations(nil)
}

func TestAQueryOfSeveralPages(t *testing.T) {
	f := setup(t)
	a := f.grant().AccessToken
	var page struct {
		TotalSize      int
		Done           bool
		Records        []struct{ ID string }
		NextRecordsURL string
	}
	seen := map[string]bool{}
	next := v67 + "/query?q=SELECT+Id+FROM+Account+LIMIT+4500"
	for pages := 1; ; pages++ {
		page.Records, page.NextRecordsURL = nil, ""
		r := f.get(next, a)
		r.want(t, 200, "")
		check(t, json.Unmarshal([]byte(r.body), &page))
		for _, one := range page.Records {
			seen[one.ID] = true
		}
		if page.Done {
			if pages != 3 || len(seen) != 4500 || page.TotalSize != 4500 {
				t.Errorf("%d records of %d in %d pages", len(seen), page.TotalSize, pages)
			}
			break
		}
		next = page.NextRecordsURL
	}
	r := f.get(v67+"/query?q=SELECT+Id+FROM+Account+LIMIT+450", a, "Sforce-Query-Options", "batchSize=200")
	if n := strings.Count(r.body, `"Id"`); n != 200 {
		t.Errorf("%d records in a page of 200", n)
	}
}

func TestAJobOfBulk1(t *testing.T) {
	f := setup(t)
	a := f.grant().AccessToken
	const async = base + "/services/async/67.0/job"
	call := func(method, path, kind, body string) reply {
		return f.send(method, async+path, body, "X-SFDC-Session", a, "Content-Type", kind)
	}
	inside := func(r reply, begin, end string) string {
		_, rest, _ := strings.Cut(r.body, begin)
		value, _, _ := strings.Cut(rest, end)
		return value
	}
	open := func(operation, kind string) string {
		return inside(call("POST", "", "application/xml", `<jobInfo xmlns="http://www.force.com/2009/06/asyncapi/dataload"><operation>`+operation+`</operation><object>Account</object><contentType>`+kind+`</contentType></jobInfo>`), "<id>", "<")
	}
	for _, c := range []struct{ kind, mime, body, result string }{
		{"CSV", "text/csv", "Name,Note\na,\"two\nlines\"\r\nb,\n", "\"Id\",\"Success\",\"Created\",\"Error\"\n\"001"},
		{"JSON", "application/json", `[{"Name":"a"},{"Name":"b"}]`, `"created":true`},
		{"XML", "application/xml", `<sObjects><sObject><Name>a</Name></sObject><sObject><Name>b</Name></sObject></sObjects>`, "<created>true</created>"},
	} {
		t.Run(c.kind, func(t *testing.T) {
			job := open("insert", c.kind)
			r := call("POST", "/"+job+"/batch", c.mime, c.body)
			r.want(t, 201, "Queued")
			batch := inside(r, "<id>", "<")
			if c.kind == "JSON" {
				batch = r.field("id")
			}
			call("GET", "/"+job+"/batch/"+batch, "", "").want(t, 200, "<numberRecordsProcessed>2<")
			call("GET", "/"+job+"/batch", "", "").want(t, 200, "<batchInfo><id>"+batch)
			call("GET", "/"+job+"/batch/"+batch+"/result", "", "").want(t, 200, c.result)
			call("POST", "/"+job, "application/xml", `<jobInfo><state>Closed</state></jobInfo>`).want(t, 200, "<state>Closed")
			call("GET", "/"+job, "application/json", "").want(t, 200, `"numberRecordsProcessed":2`)
		})
	}
	job := open("query", "CSV")
	batch := inside(call("POST", "/"+job+"/batch", "text/csv", "SELECT Id FROM Account LIMIT 3"), "<id>", "<")
	result := inside(call("GET", "/"+job+"/batch/"+batch+"/result", "", ""), "<result>", "<")
	if r := call("GET", "/"+job+"/batch/"+batch+"/result/"+result, "", ""); strings.Count(r.body, "001Wt") != 3 {
		t.Errorf("the result of a query is %s", r.body)
	}
	call("GET", "/"+job+"/batch/751000000000000AAA", "", "").want(t, 400, "<exceptionCode>InvalidBatch")
	call("GET", "/750000000000000AAA", "", "").want(t, 400, "<exceptionCode>InvalidJob")
	call("POST", "/"+job+"/batch", "application/json", "{").want(t, 400, "")
	f.violations(nil)
}

func TestAJobOfBulk2(t *testing.T) {
	f := setup(t)
	a := f.grant().AccessToken
	call := func(method, path, body string) reply {
		return f.send(method, base+v67+path, body, "Authorization", "Bearer "+a, "Content-Type", "application/json")
	}
	r := call("POST", "/jobs/ingest", `{"object":"Account","operation":"insert","lineEnding":"LF"}`)
	r.want(t, 200, `"state":"Open"`)
	job := "/jobs/ingest/" + r.field("id")
	if r.field("contentUrl") != "services/data/v67.0"+job+"/batches" {
		t.Errorf("contentUrl %s", r.field("contentUrl"))
	}
	call("PUT", job+"/batches", "Name\na\nb\nc").want(t, 201, "")
	call("PUT", job+"/batches", "Name\na\n").want(t, 400, "INVALIDJOBSTATE")
	call("GET", job, "").want(t, 200, `"state":"Open"`)
	call("PATCH", job, `{"state":"UploadComplete"}`).want(t, 200, `"state":"UploadComplete"`)
	call("GET", job, "").want(t, 200, `"state":"JobComplete"`)
	call("GET", job, "").want(t, 200, `"numberRecordsProcessed":3`)
	if r := call("GET", job+"/successfulResults", ""); strings.Count(r.body, "\n") != 4 {
		t.Errorf("results %s", r.body)
	}
	call("GET", job+"/failedResults", "").want(t, 200, "sf__Error")
	call("DELETE", job, "").want(t, 204, "")
	call("POST", "/jobs/ingest", `{}`).want(t, 400, "INVALIDJOB")

	query := "/jobs/query/" + call("POST", "/jobs/query", `{"operation":"query","query":"SELECT Id, Name FROM Account LIMIT 5"}`).field("id")
	call("GET", query, "").want(t, 200, `"state":"JobComplete"`)
	r = call("GET", query+"/results?maxRecords=3", "")
	if r.header.Get("Sforce-Locator") != "3" || r.header.Get("Sforce-NumberOfRecords") != "3" || !strings.HasPrefix(r.body, "Id,Name\n") {
		t.Errorf("%v %s", r.header, r.body)
	}
	if r := call("GET", query+"/results?locator=3", ""); r.header.Get("Sforce-Locator") != "null" || strings.Count(r.body, "001Wt") != 2 {
		t.Errorf("%v %s", r.header, r.body)
	}
	f.violations(nil)
}

func TestSOAPAnswers(t *testing.T) {
	f := setup(t)
	a := f.grant().AccessToken
	call := func(path, body string) reply {
		return f.send("POST", base+"/services/Soap/"+path, strings.Replace(envelope(a, "X"), "<p:X/>", body, 1), "Content-Type", "text/xml")
	}
	call("u/67.0", `<p:query><p:queryString>SELECT Id, Name FROM Account LIMIT 2</p:queryString></p:query>`).want(t, 200, `<sf:type>Account</sf:type>`)
	call("u/67.0", `<p:create><p:sObjects><p:type>Account</p:type></p:sObjects><p:sObjects><p:type>Account</p:type></p:sObjects></p:create>`).want(t, 200, `</result><result><id>001`)
	call("u/67.0", `<p:create>`+strings.Repeat("<p:sObjects/>", 201)+`</p:create>`).want(t, 500, "EXCEEDED_ID_LIMIT")
	call("u/67.0", `<p:getServerTimestamp/>`).want(t, 200, "<timestamp>2026-11-24T12:00:00Z")
	call("m/67.0", `<p:listMetadata/>`).want(t, 200, "<fullName>Account</fullName>")
	call("m/67.0", `<p:describeMetadata/>`).want(t, 200, "<xmlName>ApexClass</xmlName>")
	call("T/67.0", `<p:executeAnonymous/>`).want(t, 200, `xmlns="urn:tooling.soap.sforce.com"`)
	file := strings.Repeat("UEsDBBQA", 1<<20) // 8 MiB in one element
	call("m/67.0", `<p:deploy><p:ZipFile>`+file+`</p:ZipFile></p:deploy>`).want(t, 200, "<state>Queued")
	if n, err := f.RecordsCreated(host); n != 2 || err != nil {
		t.Errorf("%d records, %v", n, err)
	}
	f.violations(nil)
}

// What a client of the Streaming API subscribes to arrives in its long poll,
// and its subscription outlives its session.
func TestStreamingDelivers(t *testing.T) {
	f := setup(t)
	g := f.grant()
	call := func(token, message string) string {
		r := f.send("POST", base+"/cometd/67.0", message, "Authorization", "Bearer "+token)
		r.want(t, 200, "")
		return r.body
	}
	_, rest, _ := strings.Cut(call(g.AccessToken, `[{"channel":"/meta/handshake"}]`), `"clientId":"`)
	id, _, _ := strings.Cut(rest, `"`)
	subscribe := fmt.Sprintf(`[{"channel":"/meta/subscribe","clientId":%q,"subscription":"/event/Order__e"}]`, id)
	if got := call(g.AccessToken, subscribe); !strings.Contains(got, `"successful":true`) {
		t.Fatal(got)
	}
	connect := fmt.Sprintf(`[{"channel":"/meta/connect","clientId":%q}]`, id)
	f.KillAccess(g.AccessToken)
	if got := call(g.AccessToken, connect); !strings.Contains(got, "401::Authentication invalid") {
		t.Fatal(got)
	}
	token := f.refresh(g.RefreshToken).field("access_token")
	polled := make(chan string)
	go func() { // ends with the poll
		r := f.send("POST", base+"/cometd/67.0", connect, "Authorization", "Bearer "+token)
		polled <- r.body
	}()
	f.send("POST", base+v67+"/sobjects/Order__e", `{"Message__c":"hello"}`, "Authorization", "Bearer "+token).want(t, 201, "")
	if got := <-polled; !strings.Contains(got, `"payload":{"Message__c":"hello"}`) || !strings.Contains(got, `"channel":"/meta/connect"`) {
		t.Error(got)
	}
	check(t, f.PushEvent(host, "/event/Order__e", []byte(`{"n":1}`)))
	if got := call(token, connect); !strings.Contains(got, `"payload":{"n":1}`) {
		t.Error(got)
	}
	if got := call(token, `{"channel":"/meta/connect","clientId":"nobody"}`); !strings.Contains(got, "403::Unknown client") {
		t.Error(got)
	}
}

func TestASessionThatEndsHoweverMuchItIsUsed(t *testing.T) {
	f := setup(t)
	check(t, f.SetSessionLifetime(host, 5*time.Second))
	g := f.grant()
	for range 4 {
		f.clock.t = f.clock.t.Add(time.Second)
		f.get(v67+"/limits", g.AccessToken).want(t, 200, "")
	}
	token := f.refresh(g.RefreshToken).field("access_token")
	f.clock.t = f.clock.t.Add(time.Second)
	f.get(v67+"/limits", g.AccessToken).want(t, 401, "")
	f.get(v67+"/limits", token).want(t, 200, "")
	if got := f.Ledger().Tokens[0].Left; got != time.Second {
		t.Errorf("the session had %v left at its exchange, not 1 s", got)
	}
}

func TestCanaries(t *testing.T) {
	f := setup(t)
	f.SetCanaries("canary", "placeholder")
	a := f.grant().AccessToken
	one, two := io.Pipe()
	go func() { // ends when both parts are read
		io.WriteString(two, "xxcana")
		io.WriteString(two, "ryxx")
		two.Close()
	}()
	r := must(http.NewRequestWithContext(t.Context(), "POST", base+v67+"/upload", one))(t)
	r.Header.Set("Authorization", "Bearer "+a)
	do(f.client, r).want(t, 200, "")
	f.get(v67+"/limits?x=placeholder", a).want(t, 200, "")
	f.get(v67+"/limits", a, "X-Note", "a canary").want(t, 200, "")
	f.get(v67+"/limits", a, "X-Note", "can ary").want(t, 200, "")
	f.violations(map[sfsim.ViolationKind]int{sfsim.Canary: 3})
}
