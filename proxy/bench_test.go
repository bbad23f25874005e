package proxy_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/tokens"
)

// oneToken is a cache of tokens that never misses.
type oneToken struct{ token tokens.Token }

func (o oneToken) Token(context.Context, tokens.OrgID) (tokens.Token, error)   { return o.token, nil }
func (o oneToken) Lasting(context.Context, tokens.OrgID) (tokens.Token, error) { return o.token, nil }
func (o oneToken) Replace(context.Context, tokens.OrgID, tokens.Token) (tokens.Token, error) {
	return o.token, nil
}
func (o oneToken) Used(tokens.OrgID, tokens.Token) {}

func TestTokenAndPolicyCostNoAllocation(t *testing.T) {
	e := start(t, echo, func(o *proxy.Options) {
		o.Tokens = oneToken{tokens.Token{Access: secret.NewText("live")}}
	})
	hot := e.server.HotPath(acme+":443", "billing", map[string][]string{}, data+"query", "q=SELECT+Id+FROM+Account")
	if n := testing.AllocsPerRun(200, func() {
		if hot() != "Bearer live" {
			t.Error("no token")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkHotPathPolicyAndToken measures what a request needs of registry, policy, limits, token and injection.
func BenchmarkHotPathPolicyAndToken(b *testing.B) {
	e := start(b, echo, func(o *proxy.Options) {
		o.Tokens = oneToken{tokens.Token{Access: secret.NewText("live")}}
	})
	hot := e.server.HotPath(acme+":443", "billing", map[string][]string{}, data+"query", "q=SELECT+Id+FROM+Account")
	b.ReportAllocs()
	for b.Loop() {
		if hot() == "" {
			b.Fatal("no token")
		}
	}
}

// BenchmarkRequest measures a small answer through one tunnel, client and upstream included.
func BenchmarkRequest(b *testing.B) {
	answer := strings.Repeat("x", 2048)
	e := start(b, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, answer)
	}, func(o *proxy.Options) { o.AccessLog = nil })
	for _, p := range protocols {
		b.Run(p, func(b *testing.B) {
			c := e.client("billing", p)
			b.ReportAllocs()
			for b.Loop() {
				resp, err := c.Get("https://" + acme + data)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
}
