package secret_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/secret"
)

const plain = "5Aep861-tell-nobody"

type exported struct {
	Name  string
	Token secret.Text
	Ptr   *secret.Text
	Map   map[string]secret.Text
	Keyed map[secret.Text]int
	List  []secret.Text
	Any   any
}

type unexported struct {
	name  string
	token secret.Text
	inner struct{ token secret.Text }
	ptr   *secret.Text
	list  []secret.Text
	m     map[string]secret.Text
}

func holders() map[string]any {
	t := secret.NewText(plain)
	e := exported{
		Name: "acme", Token: t, Ptr: &t, Map: map[string]secret.Text{"a": t}, Keyed: map[secret.Text]int{t: 1},
		List: []secret.Text{t}, Any: t,
	}
	u := unexported{name: "acme", token: t, ptr: &t, list: []secret.Text{t}, m: map[string]secret.Text{"a": t}}
	u.inner.token = t
	return map[string]any{
		"a value": t, "a pointer": &t, "a struct": e, "a pointer to a struct": &e,
		"a struct with unexported fields": u, "a pointer to one": &u,
		"a slice": []secret.Text{t}, "a map": map[string]secret.Text{"a": t}, "a slice of any": []any{t, &t, u},
		"an error's text":    fmt.Errorf("enrol %v: %w", t, errors.New("no")),
		"an error in errors": fmt.Errorf("outer: %w", &holdingError{Token: t, token: t}),
	}
}

type holdingError struct{ Token, token secret.Text }

func (e *holdingError) Error() string { return fmt.Sprintf("holding %+v", *e) }

func TestTextIsRedactedHoweverItIsFormatted(t *testing.T) {
	for name, v := range holders() {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%t", "%c", "%U", "%b", "%o", "%e", "%p", "%10.3s", "%-40v", "%z"} {
			got := fmt.Sprintf(verb, v)
			if leaks(got) {
				t.Errorf("%s shows the secret with %s: %s", name, verb, got)
			}
		}
		if got := fmt.Sprint(v) + fmt.Sprintln(v); leaks(got) {
			t.Errorf("%s shows the secret in Sprint: %s", name, got)
		}
	}
	text := secret.NewText(plain)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if got := fmt.Sprintf(verb, text); got != secret.Redacted {
			t.Errorf("a Text with %s = %q, want %q", verb, got, secret.Redacted)
		}
	}
}

func TestTextIsRedactedInLogs(t *testing.T) {
	for name, v := range holders() {
		var text, js bytes.Buffer
		for _, h := range []slog.Handler{slog.NewTextHandler(&text, nil), slog.NewJSONHandler(&js, nil)} {
			l := slog.New(h)
			l.With("held", v).Info("exchanged", "value", v, slog.Group("g", "value", v))
			l.Info(fmt.Sprint("in the message ", v))
		}
		for _, got := range []string{text.String(), js.String()} {
			if leaks(got) {
				t.Errorf("%s shows the secret in a log: %s", name, got)
			}
		}
	}
}

func TestTextIsRedactedWhenEncoded(t *testing.T) {
	for name, v := range holders() {
		got, err := json.Marshal(v)
		if err != nil && !strings.Contains(err.Error(), "unsupported type") {
			t.Errorf("json.Marshal of %s: %v", name, err)
		}
		if leaks(string(got)) {
			t.Errorf("%s shows the secret in JSON: %s", name, got)
		}
	}
	if got, err := json.Marshal(secret.NewText(plain)); err != nil || string(got) != `"[redacted]"` {
		t.Errorf("json.Marshal of a Text = %s, %v", got, err)
	}
	var buf bytes.Buffer
	if err := gob.NewEncoder(&buf).Encode(exported{Token: secret.NewText(plain)}); err != nil {
		t.Errorf("gob: %v", err)
	}
	if leaks(buf.String()) || !strings.Contains(buf.String(), secret.Redacted) {
		t.Errorf("gob wrote %q", buf.String())
	}
}

// leaks looks for the secret in clear, in hex and in part.
func leaks(s string) bool {
	for _, form := range []string{plain, plain[:8], plain[8:], fmt.Sprintf("%x", plain), fmt.Sprintf("%X", plain), fmt.Sprintf("% x", plain)} {
		if strings.Contains(s, form) {
			return true
		}
	}
	return false
}

func TestTextKeepsAndComparesTheSecret(t *testing.T) {
	a, b, other := secret.NewText(plain), secret.NewText(strings.Clone(plain)), secret.NewText(plain+"x")
	if a.Reveal() != plain {
		t.Errorf("Reveal() = %q", a.Reveal())
	}
	if !a.Equal(b) || a != b {
		t.Error("two Texts of one secret differ")
	}
	if a.Equal(other) || a == other || a.Equal(secret.Text{}) {
		t.Error("Texts of different secrets are equal")
	}
	var zero secret.Text
	if !zero.IsZero() || zero.Reveal() != "" || zero != secret.NewText("") || !zero.Equal(secret.NewText("")) || a.IsZero() {
		t.Error("the zero Text is not the empty one")
	}
}

func TestTextReadsASecretButNotItsPrintedForm(t *testing.T) {
	var body struct{ RefreshToken secret.Text }
	if err := json.Unmarshal([]byte(`{"refreshToken":"`+plain+`"}`), &body); err != nil || body.RefreshToken.Reveal() != plain {
		t.Errorf("read %q, %v", body.RefreshToken.Reveal(), err)
	}
	if err := json.Unmarshal([]byte(`{"refreshToken":"[redacted]"}`), &body); !errors.Is(err, secret.ErrRedacted) {
		t.Errorf("the printed form was read back: %v", err)
	}
}

func TestRevealDoesNotAllocate(t *testing.T) {
	a, b := secret.NewText(plain), secret.NewText(plain+"x")
	if n := testing.AllocsPerRun(100, func() {
		if a.Reveal() == "" || a.Equal(b) {
			t.Fatal("wrong answer")
		}
	}); n != 0 {
		t.Errorf("Reveal and Equal allocate %v times", n)
	}
}

func BenchmarkReveal(b *testing.B) {
	text := secret.NewText(plain)
	for b.Loop() {
		_ = text.Reveal()
	}
}

func ExampleText() {
	token := secret.NewText("00Dxx!AQEAQ")
	fmt.Printf("%v %q\n", token, token)
	fmt.Println(len(token.Reveal()))
	// Output:
	// [redacted] [redacted]
	// 11
}
