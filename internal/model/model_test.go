package model_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/tokens"
)

// states are the model's, as the code has them.
var states = map[string]struct {
	state  tokens.State
	reason tokens.Reason
}{
	"Ready":       {tokens.Ready, ""},
	"Exchanging":  {tokens.Exchanging, ""},
	"InDoubt":     {tokens.InDoubt, tokens.ReasonNoAnswer},
	"Quarantined": {tokens.Quarantined, ""},
	"Dead":        {tokens.ReauthRequired, tokens.ReasonDead},
	"Lost":        {tokens.ReauthRequired, tokens.ReasonLost},
	"Undecided":   {tokens.ReauthRequired, tokens.ReasonUndecided},
	"Revoked":     {tokens.ReauthRequired, tokens.ReasonRevoked},
}

var place = tokens.Place{Epoch: 5, Generation: 3}

const life = tokens.StoreIdentity("life-1")

// records are a state's: with and without an open attempt where both occur.
func records(name string) []tokens.Record {
	s := states[name]
	r := tokens.Record{Schema: tokens.Schema, Org: "acme", SingleUse: true, Place: place, Revision: 9, State: s.state, Reason: s.reason,
		Refresh: []byte("sealed"), Fingerprint: "fp3", Verified: life}
	open := r
	open.Attempt = &tokens.Attempt{ID: "open", Base: place}
	switch name {
	case "Exchanging":
		return []tokens.Record{open}
	case "InDoubt", "Undecided":
		return []tokens.Record{r, open}
	case "Revoked": // only by a new epoch
		r.State, r.Reason = tokens.Ready, ""
		r, err := r.Apply(tokens.Ended{Epoch: place.Epoch + 1})
		if err != nil {
			panic(err)
		}
		return []tokens.Record{r}
	}
	return []tokens.Record{r}
}

// stateOf is the model's name for r's state.
func stateOf(r tokens.Record) string {
	for name, s := range states {
		if r.State == s.state && (r.State != tokens.ReauthRequired || r.Reason == s.reason) {
			return name
		}
	}
	return "a state that the model lacks: " + r.State.String() + " " + string(r.Reason)
}

func apply(events ...tokens.Event) func(tokens.Record) string {
	return func(r tokens.Record) string {
		for _, e := range events {
			if n, err := r.Apply(e); err == nil {
				return stateOf(n)
			}
		}
		return ""
	}
}

// over is the state after an answer to an attempt on base is written over r, if
// that is where it lands.
func over(r tokens.Record, base tokens.Place, want tokens.Landing) string {
	n := records("Ready")[0]
	n.Place, n.Fingerprint = tokens.Place{Epoch: base.Epoch, Generation: base.Generation + 1}, "fp4"
	n, l := tokens.Committed{Attempt: "open", Base: base, Identity: life, Record: n}.Over(r, tokens.Sight{Identity: life})
	if l != want {
		return ""
	}
	return stateOf(n)
}

// events are the model's, as the code has them: the state after one, empty
// where it is refused.
var events = map[string]func(tokens.Record) string{
	"Began": apply(tokens.Began{Attempt: tokens.Attempt{ID: "new"}}),
	"Unsent": apply(tokens.Unsent{Attempt: "open", Outcome: tokens.OutcomeNotSent},
		tokens.Unsent{Attempt: "open", Outcome: tokens.OutcomeRateLimited}),
	"Doubted":  apply(tokens.Doubted{Attempt: tokens.Attempt{ID: "open"}, Reason: tokens.ReasonNoAnswer}),
	"Died":     apply(tokens.Died{Attempt: "open"}),
	"Found":    apply(tokens.Found{Identity: life, Truthful: true}),
	"Missed":   apply(tokens.Missed{}),
	"Silent":   apply(tokens.Silent{}),
	"Isolated": apply(tokens.Isolated{}),
	"GaveUp":   apply(tokens.GaveUp{}),
	"SentOnce": apply(tokens.SentOnce{Identity: life}),
	"Ended":    apply(tokens.Ended{Epoch: place.Epoch + 2}),
	"Healed": func(memory tokens.Record) string {
		store := records("Ready")[0]
		store.Generation--
		n, ok := tokens.Heal(store, memory, time.Time{})
		if !ok {
			return ""
		}
		return stateOf(n)
	},
	"OnBase": func(r tokens.Record) string { return over(r, place, tokens.LandedReady) },
	"OverOlder": func(r tokens.Record) string {
		return over(r, tokens.Place{Epoch: r.Epoch, Generation: r.Generation + 1}, tokens.LandedHealed)
	},
}

// transitions are those of the model: event, state, state after.
func transitions(t *testing.T) map[string]map[string]string {
	t.Helper()
	_, body, ok := strings.Cut(read(t, modelFile), "inline Apply(e) {")
	body, _, end := strings.Cut(body, ":: else ->")
	if !ok || !end {
		t.Fatalf("%s has no Apply", modelFile)
	}
	line := regexp.MustCompile(`^  :: e == (\w+) +&& \((.*)\) -> R\.st = (\w+)$`)
	from := regexp.MustCompile(`^R\.st == (\w+)$`)
	m := map[string]map[string]string{}
	for _, l := range strings.Split(strings.TrimSpace(body), "\n")[1:] {
		f := line.FindStringSubmatch("  " + strings.TrimSpace(l))
		if f == nil {
			t.Fatalf("%s: not a line of the transitions: %q", modelFile, l)
		}
		if m[f[1]] == nil {
			m[f[1]] = map[string]string{}
		}
		for _, s := range strings.Split(f[2], " || ") {
			g := from.FindStringSubmatch(s)
			if g == nil || m[f[1]][g[1]] != "" {
				t.Fatalf("%s: %q is no state, or a second line for it: %q", modelFile, s, l)
			}
			m[f[1]][g[1]] = f[3]
		}
	}
	return m
}

func TestTheModelsTransitionsAreTheCodes(t *testing.T) {
	code := map[string]map[string]string{}
	for event, after := range events {
		code[event] = map[string]string{}
		for state := range states {
			for _, r := range records(state) {
				to := after(r)
				if was := code[event][state]; was != "" && to != "" && was != to {
					t.Errorf("%s in %s leads to %s or to %s", event, state, was, to)
				}
				if to != "" {
					code[event][state] = to
				}
			}
		}
	}
	if d := cmp.Diff(code, transitions(t)); d != "" {
		t.Errorf("event, state and state after, of the code (-) and of the model (+):\n%s", d)
	}
}

func TestTheModelHasEveryStateAndEventOfTheCode(t *testing.T) {
	for _, s := range tokens.States() {
		if !slices.ContainsFunc(slices.Collect(maps.Values(states)), func(m struct {
			state  tokens.State
			reason tokens.Reason
		}) bool {
			return m.state == s
		}) {
			t.Errorf("the model has no state %s", s)
		}
	}
	declared := declarations(t)
	for name := range declared {
		event, ok := strings.CutSuffix(name, ".apply")
		if ok && event != "Event" && ast.IsExported(event) && events[event] == nil {
			t.Errorf("the model has no event %s", event)
		}
	}
}

// named are names of declarations in a text: Broker.remember, exchange.ask.
var named = regexp.MustCompile(`\b((?:[A-Z]\w*|exchange|org)\.\w+)`)

func TestTheRulesThatTheModelNamesAreInTheCode(t *testing.T) {
	declared := declarations(t)
	texts := regexp.MustCompile(`(?s)/\*.*?\*/`).FindAllString(read(t, modelFile), -1)
	for _, u := range readTable(t).mutations {
		if !regexp.MustCompile(`[A-Z]\w+|exchange\.`).MatchString(u.where) {
			t.Errorf("mutation %s names no rule of the code", u.rule)
		}
		texts = append(texts, u.where)
	}
	n := 0
	for _, text := range texts {
		for _, name := range named.FindAllString(text, -1) {
			n++
			if !declared[name] {
				t.Errorf("package tokens doesn't declare %s, which the model names in %q", name, text)
			}
		}
	}
	if n < 30 {
		t.Errorf("found %d names of rules: the model names more", n)
	}
}

// declarations are the methods and fields that package tokens declares, each as
// Type.name.
func declarations(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("../../tokens/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no source of package tokens: %v", err)
	}
	declared := map[string]bool{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv != nil {
					declared[receiver(d.Recv.List[0].Type)+"."+d.Name.Name] = true
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if s, ok := s.(*ast.TypeSpec); ok {
						members(declared, s)
					}
				}
			}
		}
	}
	return declared
}

func receiver(e ast.Expr) string {
	if p, ok := e.(*ast.StarExpr); ok {
		e = p.X
	}
	if id, ok := e.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

func members(declared map[string]bool, s *ast.TypeSpec) {
	var fields *ast.FieldList
	switch u := s.Type.(type) {
	case *ast.StructType:
		fields = u.Fields
	case *ast.InterfaceType:
		fields = u.Methods
	default:
		return
	}
	for _, f := range fields.List {
		for _, n := range f.Names {
			declared[s.Name.Name+"."+n.Name] = true
		}
	}
}
