package proxy_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// refusing answers every call with status and body, whatever its token.
func refusing(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// A call that answers after its token was replaced names the token that it used:
// the newer one is not replaced for it.
func TestFailure30ManyCallsOfOneDeadSessionReplaceItOnce(t *testing.T) {
	var together sync.WaitGroup
	together.Add(10)
	e := start(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.Header.Get("Authorization"), "acme-1") {
			io.WriteString(w, "cured")
			return
		}
		together.Done()
		together.Wait() // all of them were sent with the dead session
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, invalidSession)
	})
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if r := do(t, e.client("billing", ""), "GET", "https://"+acme+data, nil); r.body != "cured" {
				t.Errorf("not cured: %d %s", r.StatusCode, r.body)
			}
		})
	}
	wg.Wait()
	e.tokens.mu.Lock()
	defer e.tokens.mu.Unlock()
	if n := e.tokens.n["acme"]; n != 1 {
		t.Errorf("the session was replaced %d times", n)
	}
}

func TestFailure31ARefusalThatANewSessionDoesNotCureIsPassedOn(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
	}{
		"an org policy":    {http.StatusUnauthorized, `[{"message":"This session is not valid for use with the REST API","errorCode":"INVALID_SESSION_ID"}]`},
		"another 401":      {http.StatusUnauthorized, `[{"errorCode":"INVALID_AUTH_HEADER"}]`},
		"a profile":        {http.StatusForbidden, `[{"errorCode":"API_DISABLED_FOR_ORG","message":"INVALID_SESSION_ID"}]`},
		"a quoted request": {http.StatusUnauthorized, `[{"message":"bad value: INVALID_SESSION_ID","errorCode":"INVALID_FIELD"}]`},
	} {
		t.Run(name, func(t *testing.T) {
			e := start(t, refusing(c.status, c.body))
			if r := do(t, e.client("billing", ""), "GET", "https://"+acme+data, nil); r.StatusCode != c.status || r.body != c.body {
				t.Errorf("%d %s", r.StatusCode, r.body)
			}
			if n := len(e.tokens.replaced); n != 0 {
				t.Errorf("%d exchanges", n)
			}
		})
	}
}

// A session that is refused right after it was replaced is told, not replaced
// again and again.
func TestFailure31ASessionThatIsRefusedTwiceIsTold(t *testing.T) {
	e := start(t, refusing(http.StatusUnauthorized, invalidSession))
	do(t, e.client("billing", ""), "GET", "https://"+acme+data, nil).wantError(t, http.StatusBadGateway, "session_rejected")
	e.tokens.set(nil, time.Now().Add(time.Hour))
	do(t, e.client("billing", ""), "GET", "https://"+acme+data, nil).wantError(t, http.StatusBadGateway, "session_rejected")
	if n := len(e.tokens.replaced); n != 1 {
		t.Errorf("%d exchanges", n)
	}
}
