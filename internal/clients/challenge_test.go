package clients_test

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// unauthenticated is how clients tell a 407. The last is Java's, which has asked
// its Authenticator for other credentials in vain. The sf CLI prints an error
// without its causes.
var (
	unauthenticated = regexp.MustCompile("(?i)407|proxy authentication required|proxy_auth_required|too many authentication attempts")
	unexplained     = map[string]*regexp.Regexp{"sf": regexp.MustCompile("fetch failed")}
)

// TestOnAWrongSecretEachClientSaysSo has each client come with a secret that
// isn't its own.
func TestOnAWrongSecretEachClientSaysSo(t *testing.T) {
	l := salesforce(t)
	log := &accessLog{}
	l.Tell(log)
	begin(t, l)
	s := at(t, l).of("billing")
	s.secret = "not-the-secret-of-billing"
	before := l.Sim.Ledger()
	for _, p := range chosen(t) {
		t.Run(p.name, func(t *testing.T) {
			known := log.connects("proxy_auth_required")
			began := time.Now()
			said := once(t, p, s, t.TempDir())
			took := time.Since(began).Round(100 * time.Millisecond)
			n := 0
			soon(t, func() bool {
				n = log.connects("proxy_auth_required") - known
				return n > 0
			})
			want := unauthenticated
			if re := unexplained[p.name]; re != nil {
				want = re
			}
			if !want.MatchString(said) {
				t.Errorf("its user doesn't see %q", want)
			}
			if n == 0 || n > requests {
				t.Errorf("it was refused %d times, of at most %d", n, requests)
			}
			t.Logf("in %v, refused %d times: %s", took, n, said)
		})
	}
	after := l.Sim.Ledger()
	if after.APIOK != before.APIOK || after.APIRefused != before.APIRefused {
		t.Error("Salesforce was called for clients that nobody knows")
	}
}

// TestOnAChallengeCurlAndJavaAnswer has two clients that send no credentials
// before they are asked for them: each gets one 407 with a challenge and answers
// it.
func TestOnAChallengeCurlAndJavaAnswer(t *testing.T) {
	l := salesforce(t)
	log := &accessLog{}
	l.Tell(log)
	begin(t, l)
	s := at(t, l)
	url := "https://" + host + "/services/data/v65.0/limits"

	t.Run("curl --proxy-anyauth", func(t *testing.T) {
		p := program{name: "curl", unnamed: true, env: curlCA, command: func(s *site) []string {
			return []string{"curl", "-sSv", "--max-time", "60", "--proxy", "http://" + s.proxy, "--proxy-user", s.user + ":" + s.secret, "--proxy-anyauth", url}
		}}
		said := once(t, p, s, t.TempDir())
		for _, want := range []string{"< HTTP/1.1 407 ", `< Proxy-Authenticate: Basic realm="sallyport"`, "> Proxy-Authorization: Basic ", "DailyApiRequests"} {
			if !strings.Contains(said, want) {
				t.Errorf("curl doesn't show %q", want)
			}
		}
		first, _, _ := strings.Cut(said, "< HTTP/1.1 407 ")
		if strings.Contains(first, "Proxy-Authorization") {
			t.Error("curl didn't wait for the challenge")
		}
		answered(t, log, 1, said)
	})
	t.Run("java", func(t *testing.T) {
		for _, p := range programs {
			if p.name != "java" {
				continue
			}
			said := once(t, p, s, t.TempDir())
			if !strings.Contains(said, `{"ok":true}`) {
				t.Errorf("Java's round failed")
			}
			answered(t, log, 2, said)
		}
	})
}

// answered demands that so many CONNECTs came without credentials so far.
func answered(t *testing.T, log *accessLog, want int, said string) {
	t.Helper()
	n := 0
	soon(t, func() bool {
		n = log.connects("proxy_auth_required")
		return n >= want
	})
	if n != want {
		t.Errorf("%d CONNECTs were challenged, not %d", n, want)
	}
	if t.Failed() {
		t.Logf("it said: %s", said)
	}
}
