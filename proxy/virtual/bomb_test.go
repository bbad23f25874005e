package virtual_test

import (
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/proxy/virtual"
)

// endless repeats its text for ever, and counts what is read of it.
type endless struct {
	text string
	read int
}

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = e.text[(e.read+i)%len(e.text)]
	}
	e.read += len(b)
	return len(b), nil
}

func (e *endless) Close() error { return nil }

// allocated runs f and returns how many bytes it allocated in all, freed or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

const (
	limit = 64 << 10
	most  = 4 << 20 // Of allocations in all, whatever a request holds.
)

func TestAnEndlessBodyIsReadToTheLimitAndNoFurther(t *testing.T) {
	for name, text := range map[string]string{
		"preamble": "no boundary here\r\n", "parts": "--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n",
		"headers": "--x\r\nA: ", "near misses of the boundary": "\r\n--", "zeros": "\x00", "parameters": "a=1&", "escapes": "%41",
	} {
		t.Run(name, func(t *testing.T) {
			for _, contentType := range []string{"multipart/form-data; boundary=x", formType} {
				body := &endless{text: text}
				r := request(t, "POST", endpoint, "", "Content-Type", contentType)
				r.Body, r.ContentLength = body, -1
				n := allocated(func() {
					if _, err := virtual.ParseToken(r); err == nil || !strings.Contains(err.Description, "64 KiB") {
						t.Errorf("got %v", err)
					}
				})
				if body.read > limit+1 || n > most {
					t.Errorf("%d bytes read, %d allocated", body.read, n)
				}
			}
		})
	}
}

func TestABodyThatSaysItIsTooLargeIsNotReadAtAll(t *testing.T) {
	body := &endless{text: "x"}
	r := request(t, "POST", endpoint, "", "Content-Type", formType)
	r.Body, r.ContentLength = body, 1<<40
	if _, err := virtual.ParseToken(r); err == nil || body.read != 0 {
		t.Errorf("%d bytes read, %v", body.read, err)
	}
}

func TestBombsWithinTheLimitCostLittleMemoryAndNoFile(t *testing.T) {
	numbered := func(each func(n string) string) string {
		var b strings.Builder
		for i := 0; b.Len() < limit-1000; i++ {
			b.WriteString(each(strconv.Itoa(i)))
		}
		return b.String()
	}
	head := "--x\r\nContent-Disposition: form-data; name=\"grant_type\"\r\n"
	nested := head + "Content-Type: multipart/mixed; boundary=x\r\n\r\n--y\r\n\r\nz\r\n--x--\r\n"
	deep := head + "Content-Type: multipart/mixed; boundary=y\r\n\r\n" +
		strings.Repeat("--y\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n", 1000) + "\r\n--x--\r\n"
	jwtGrant := "grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion="
	for _, tt := range []struct {
		name, contentType, body string
		code                    string
	}{
		{"hundreds of parts", "", numbered(func(n string) string {
			return "--x\r\nContent-Disposition: form-data; name=a" + n + "\r\n\r\n" + n + "\r\n"
		}) + "--x--\r\n", "invalid_request"},
		{"thousands of headers in one part", "", head + numbered(func(n string) string { return n + ":\r\n" }) + "\r\nx\r\n--x--\r\n", "unsupported_grant_type"},
		{"one header of 60 KB", "", head + "A: " + strings.Repeat("a", 60_000) + "\r\n\r\nx\r\n--x--\r\n", "unsupported_grant_type"},
		{"a header that is folded a thousand times", "", head + "A: a\r\n" + strings.Repeat(" a\r\n", 10_000) + "\r\nx\r\n--x--\r\n", "unsupported_grant_type"},
		{"a nested form with the outer boundary", "", nested, "unsupported_grant_type"},
		{"a thousand forms one in the other", "", deep, "unsupported_grant_type"},
		{"parts of nothing", "", strings.Repeat("--x\r\n\r\n\r\n", 6000) + "--x--\r\n", "invalid_request"},
		{"a preamble of near misses", "", strings.Repeat("--xx\r\n--", 8000) + "--x--", "invalid_request"},
		{"thousands of parameters", formType, numbered(func(n string) string { return "a" + n + "=1&" }), "invalid_request"},
		{"thousands of ampersands", formType, strings.Repeat("&", limit), "invalid_request"},
		{"a claim that is nested 10,000 deep", formType, jwtGrant + jwt(strings.Repeat(`{"a":`, 9000)), "invalid_grant"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("TMPDIR", dir)
			if tt.contentType == "" {
				tt.contentType = "multipart/form-data; boundary=x"
			}
			if len(tt.body) > limit {
				t.Fatalf("%d bytes: the case would only show the limit", len(tt.body))
			}
			r := request(t, http.MethodPost, endpoint, tt.body, "Content-Type", tt.contentType)
			n := allocated(func() {
				if got, err := virtual.ParseToken(r); err == nil || err.Code != tt.code {
					t.Errorf("got %+v, %v", got, err)
				}
			})
			if n > most {
				t.Errorf("%d bytes allocated", n)
			}
			if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
				t.Errorf("files: %v, %v", files, err)
			}
		})
	}
}

// A body is read as it is sent; one that ends exactly at the limit is taken.
func TestABodyOfExactlyTheLimitIsTaken(t *testing.T) {
	form := "grant_type=refresh_token&refresh_token="
	form += strings.Repeat("x", limit-len(form))
	r := post(t, endpoint, form)
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(form)), -1
	if _, err := virtual.ParseToken(r); err != nil {
		t.Errorf("refused: %v", err)
	}
	if _, err := virtual.ParseToken(post(t, endpoint+"?a", form)); err == nil {
		t.Error("a byte more in the query was taken")
	}
}
