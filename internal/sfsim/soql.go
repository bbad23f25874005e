package sfsim

import (
	"encoding/csv"
	"regexp"
	"strconv"
	"strings"
)

// soql is what the simulator understands of a query.
type soql struct {
	text   string
	kind   string   // of the object
	fields []string // as selected
	total  int      // records that it finds
	count  bool     // SELECT COUNT()
	id     string   // WHERE Id = '…'
}

var (
	selectClause = regexp.MustCompile(`(?is)^\s*SELECT\s+(.+?)\s+FROM\s+(\w+)`)
	limitClause  = regexp.MustCompile(`(?i)\bLIMIT\s+(\d+)`)
	idClause     = regexp.MustCompile(`(?i)\bId\s*=\s*'(\w{15,18})'`)
)

// maxFound is the most records that a query finds.
const maxFound = 50_000

// readSOQL reads a query. There is one record of every object, and with LIMIT n
// there are n.
func readSOQL(text string) (soql, bool) {
	m := selectClause.FindStringSubmatch(text)
	if m == nil {
		return soql{}, false
	}
	q := soql{text: text, kind: m[2], total: 1, fields: splitFields(m[1])}
	q.count = strings.EqualFold(strings.ReplaceAll(m[1], " ", ""), "count()")
	if l := limitClause.FindStringSubmatch(text); l != nil {
		n, err := strconv.Atoi(l[1])
		if err != nil || n > maxFound {
			n = maxFound
		}
		q.total = n
	}
	if w := idClause.FindStringSubmatch(text); w != nil {
		q.id, q.total = w[1], min(1, q.total)
	}
	return q, true
}

// splitFields splits a SELECT's list at the commas that stand in no parentheses.
func splitFields(list string) []string {
	var out []string
	depth, from := 0, 0
	for i, c := range list + "," {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			if f := strings.TrimSpace(list[from:i]); f != "" {
				out = append(out, f)
			}
			from = i + 1
		}
	}
	return out
}

// idOf returns the id of the n-th record, from 1.
func (q soql) idOf(n int) string {
	if q.id != "" {
		return q.id
	}
	digits := strconv.Itoa(n)
	return to18(prefixOf(q.kind) + "Wt" + strings.Repeat("0", 10-len(digits)) + digits)
}

func prefixOf(kind string) string {
	switch kind {
	case "Contact":
		return "003"
	case "User":
		return "005"
	case "Organization":
		return "00D"
	}
	return "001"
}

// record returns the n-th record as REST has it.
func (q soql) record(base string, a *access, n int) map[string]any {
	id := q.idOf(n)
	r := map[string]any{"attributes": map[string]string{"type": q.kind, "url": base + "sobjects/" + q.kind + "/" + id}}
	for _, f := range q.fields {
		name, inner, nested := strings.Cut(f, ".")
		switch {
		case strings.HasPrefix(f, "("):
			continue // a child relationship; nobody has children
		case strings.HasSuffix(f, ")"):
			r["expr0"] = q.total
		case nested:
			parent, ok := r[name].(map[string]any)
			if !ok {
				parent = map[string]any{"attributes": map[string]string{"type": name}}
				r[name] = parent
			}
			parent[inner] = fieldValue(a, q.kind, inner, id, n)
		default:
			r[f] = fieldValue(a, q.kind, f, id, n)
		}
	}
	return r
}

// fieldValue makes up a field's value by its name.
func fieldValue(a *access, kind, field, id string, n int) any {
	switch {
	case field == "Id" && kind == "Organization":
		return a.org.ID
	case field == "Id":
		return id
	case field == "Username" || field == "Email":
		return a.user.Username
	case field == "InstanceName":
		return "SIM1"
	case field == "IsSandbox":
		return a.org.Sandbox
	case field == "OrganizationType":
		return "Enterprise Edition"
	case field == "NamespacePrefix" || field == "TrialExpirationDate":
		return nil
	case strings.HasPrefix(field, "Is") || strings.HasPrefix(field, "Has"):
		return false
	case strings.HasSuffix(field, "Date"):
		return "2026-01-01T00:00:00.000+0000"
	case strings.HasSuffix(field, "Id"):
		return a.user.ID
	}
	return kind + " " + strconv.Itoa(n)
}

// csv returns the records from the n-th to the last before end as Bulk has them.
func (q soql) csv(a *access, n, end int) []byte {
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write(q.fields) // a Builder takes all
	for ; n < end; n++ {
		row := make([]string, 0, len(q.fields))
		for _, f := range q.fields {
			text := ""
			switch v := fieldValue(a, q.kind, f, q.idOf(n), n).(type) {
			case string:
				text = v
			case bool:
				text = strconv.FormatBool(v)
			}
			row = append(row, text)
		}
		_ = w.Write(row)
	}
	w.Flush()
	return []byte(b.String())
}
