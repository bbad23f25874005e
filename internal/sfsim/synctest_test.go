package sfsim_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/internal/sfsim"
)

func TestUnderVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := must(sfsim.New(sfsim.Options{}))(t)
		check(t, s.AddApp(sfsim.App{ClientID: "key", ClientSecret: "secret", RTR: true}))
		must(s.AddOrg(sfsim.Org{Host: host}))(t)
		g := must(s.Authorize("key", host, ""))(t)

		// The handler, called as it is.
		call := func(token string) int {
			r := httptest.NewRequestWithContext(t.Context(), "GET", base+v67+"/limits", strings.NewReader(""))
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			return w.Code
		}
		if code := call(g.AccessToken); code != 200 {
			t.Fatalf("got %d", code)
		}
		<-time.After(2 * time.Hour) // the session's whole inactivity
		if code := call(g.AccessToken); code != 401 {
			t.Errorf("got %d after two hours", code)
		}

		// The transport: a slow exchange is given up by its caller and commits all the same.
		f := &fixture{Sim: s, t: t, client: clientOver(s.Transport(source))}
		s.Inject(sfsim.DelayBefore(time.Minute))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		r := request(t, "POST", base+"/services/oauth2/token", values(refreshParams(g.RefreshToken)...).Encode(), "Content-Type", "application/x-www-form-urlencoded")
		begun := time.Now()
		if got := do(f.client, r.WithContext(ctx)); !errors.Is(got.err, context.DeadlineExceeded) || time.Since(begun) != 10*time.Second {
			t.Errorf("got %v after %v", got.err, time.Since(begun))
		}
		if s.Lookup(g.RefreshToken).State != "current" {
			t.Error("committed too early")
		}
		f.refresh(g.RefreshToken).want(t, 400, busy)
		<-time.After(time.Minute)
		synctest.Wait()
		if l := s.Ledger(); s.Lookup(g.RefreshToken).State != "rotated" || len(l.Losses) != 1 || l.Tokens[0].Delivered {
			t.Errorf("losses %v", l.Losses)
		}

		// A caller that leaves an answer half read doesn't leave a goroutine.
		g = must(s.Authorize("key", host, ""))(t)
		resp := must(f.client.Do(request(t, "GET", base+v67+"/stream?bytes=1000000&delay=1000", "", "Authorization", "Bearer "+g.AccessToken)))(t)
		check(t, resp.Body.Close())
	})
}

func TestSlowAPIAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := setup(t)
		a := f.grant().AccessToken
		took := func(path string) time.Duration {
			begun := time.Now()
			f.get(v67+path, a).want(t, 200, "")
			return time.Since(begun)
		}
		f.Inject(sfsim.Slow(time.Minute))
		f.Inject(sfsim.DelayAfter(time.Second).On(sfsim.EndpointAPI))
		if got := took("/stream?bytes=30&chunk=10&delay=500"); got != time.Minute+time.Second {
			t.Errorf("took %v, want the minute before and two pauses", got)
		}
		if got := took("/limits"); got != time.Second {
			t.Errorf("took %v, want the second after commit", got)
		}
		release := make(chan struct{})
		f.Inject(sfsim.HoldAnswer(release).On(sfsim.EndpointAPI))
		time.AfterFunc(time.Hour, func() { close(release) })
		if got := took("/limits"); got != time.Hour {
			t.Errorf("took %v, want until the release", got)
		}
	})
}
