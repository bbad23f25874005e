package sfsim

import (
	"fmt"
	"strings"
	"time"
)

// maxSOAPRecords is how many records one call may have, and an answer tells.
const maxSOAPRecords = 200

// soapResult is what stands inside an operation's response element.
func soapResult(s *Sim, a *access, path string, m envelope) string {
	one := func(text string) string { return "<result>" + text + "</result>" }
	now := s.now().UTC().Format(time.RFC3339)
	switch m.operation {
	case "getServerTimestamp":
		return one("<timestamp>" + now + "</timestamp>")
	case "query", "queryAll", "queryMore":
		return one(soapQuery(a, path, m))
	case "create", "update", "upsert", "delete", "undelete", "createMetadata", "updateMetadata", "upsertMetadata", "deleteMetadata":
		return saved(a, m)
	case "describeGlobal":
		return one("<encoding>UTF-8</encoding><maxBatchSize>200</maxBatchSize>" + soapDescribe("sobjects", "Account") + soapDescribe("sobjects", "Contact"))
	case "describeSObject", "describeSObjects":
		kind := m.args["sObjectType"]
		return soapDescribe("result", kind)
	case "describeMetadata":
		return one(`<metadataObjects><directoryName>classes</directoryName><inFolder>false</inFolder><metaFile>true</metaFile><suffix>cls</suffix><xmlName>ApexClass</xmlName></metadataObjects>` +
			`<metadataObjects><directoryName>objects</directoryName><inFolder>false</inFolder><metaFile>false</metaFile><suffix>object</suffix><xmlName>CustomObject</xmlName></metadataObjects>` +
			`<organizationNamespace></organizationNamespace><partialSaveAllowed>true</partialSaveAllowed><testRequired>false</testRequired>`)
	case "listMetadata":
		return one(fmt.Sprintf(`<createdById>%[1]s</createdById><createdByName>Integration</createdByName><createdDate>%[2]s</createdDate><fileName>objects/Account.object</fileName><fullName>Account</fullName><id></id>`+
			`<lastModifiedById>%[1]s</lastModifiedById><lastModifiedByName>Integration</lastModifiedByName><lastModifiedDate>%[2]s</lastModifiedDate><namespacePrefix></namespacePrefix><type>CustomObject</type>`, a.user.ID, now))
	case "deploy", "retrieve":
		if strings.Contains(path, "/m/") {
			return one("<done>false</done><id>" + s.mint.id("0Af") + "</id><state>Queued</state>")
		}
		return one("<type>Account</type><Id>" + recordID("Account", 1) + "</Id>")
	case "checkDeployStatus":
		return one("<done>true</done><id>" + escape(m.args["asyncProcessId"]) + "</id><status>Succeeded</status><success>true</success>")
	case "executeAnonymous":
		return one("<column>-1</column><compileProblem></compileProblem><compiled>true</compiled><exceptionMessage></exceptionMessage><exceptionStackTrace></exceptionStackTrace><line>-1</line><success>true</success>")
	case "compileClasses":
		return one("<bodyCrc>0</bodyCrc><column>-1</column><id>" + s.mint.id("01p") + "</id><line>-1</line><success>true</success>")
	}
	return one(fmt.Sprintf(`<organizationId>%s</organizationId><organizationName>%s</organizationName><sessionSecondsValid>%d</sessionSecondsValid><userId>%s</userId><userName>%s</userName>`,
		a.org.ID, escape(a.org.Host), a.org.timeout.Load()/int64(time.Second), a.user.ID, escape(a.user.Username)))
}

// soapQuery answers one page of records.
func soapQuery(a *access, path string, m envelope) string {
	q, ok := readSOQL(m.args["queryString"])
	if !ok {
		return `<done>true</done><size>0</size>`
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<done>true</done><queryLocator></queryLocator>`)
	record := "sobject.partner.soap.sforce.com"
	if !strings.HasPrefix(path, "/services/Soap/u/") {
		record = "sobject.enterprise.soap.sforce.com"
	}
	for n := 1; n <= min(q.total, maxPage); n++ {
		fmt.Fprintf(&b, `<records xmlns:sf="urn:%s"><sf:type>%s</sf:type>`, record, q.kind)
		for _, f := range q.fields {
			if v, ok := fieldValue(a, q.kind, f, q.idOf(n), n).(string); ok && !strings.ContainsAny(f, "(.") {
				fmt.Fprintf(&b, `<sf:%[1]s>%[2]s</sf:%[1]s>`, f, escape(v))
			}
		}
		b.WriteString("</records>")
	}
	fmt.Fprintf(&b, `<size>%d</size>`, q.total)
	return b.String()
}

// saved answers what became of a call's records.
func saved(a *access, m envelope) string {
	var b strings.Builder
	for range min(m.records, maxSOAPRecords) {
		id := recordID(m.kind, a.org.records.Load())
		if m.operation == "create" || m.operation == "upsert" {
			id = recordID(m.kind, a.org.records.Add(1))
		}
		switch {
		case strings.HasSuffix(m.operation, "Metadata"):
			b.WriteString("<result><fullName>" + escape(m.args["fullNames"]) + "</fullName><success>true</success></result>")
		case m.operation == "upsert":
			b.WriteString("<result><created>true</created><id>" + id + "</id><success>true</success></result>")
		default:
			b.WriteString("<result><id>" + id + "</id><success>true</success></result>")
		}
	}
	return b.String()
}

func soapDescribe(element, kind string) string {
	return "<" + element + "><createable>true</createable><custom>false</custom><keyPrefix>" + prefixOf(kind) + "</keyPrefix><label>" + escape(kind) +
		"</label><name>" + escape(kind) + "</name><queryable>true</queryable></" + element + ">"
}
