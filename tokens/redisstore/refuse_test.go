package redisstore_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/redistest"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/redisstore"
)

func TestAURLThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for name, u := range map[string]string{
		"nothing":                       "",
		"another scheme":                "postgres://u:s3cret@h/db",
		"another suffix":                "redis+proxy://:s3cret@h",
		"a password that isn't encoded": "redis://:s3cret/s3cret#@h:6379",
		"a port that is none":           "redis://:s3cret@h:s3cret",
		"a database that is none":       "redis://h/s3cret",
		"an unknown option":             "redis://h/0?s3cret=s3cret",
		"an unverified server":          "rediss://:s3cret@h?skip_verify=true",
		"reads from replicas":           "redis+cluster://:s3cret@h?read_only=true",
		"retries of writes":             "redis://h?max_retries=3",
		"Sentinels without a name":      "redis+sentinel://:s3cret@h",
	} {
		t.Run(name, func(t *testing.T) { unopened(t, redisstore.Options{URL: u}, redisstore.ErrURL) })
	}
	for name, o := range map[string]redisstore.Options{
		"a prefix with braces": {URL: "redis://h", Prefix: "a{b}"},
		"a lock without life":  {URL: "redis://h", LockTTL: time.Millisecond},
		"fewer than none":      {URL: "redis://h", Wait: -1},
	} {
		if _, err := redisstore.Open(t.Context(), o); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	line := strings.Replace(documentedACL(t), "PASSWORD", "secret", 1)
	srv := redistest.Start(t, redistest.Options{Password: "s3cret", ACL: []string{
		line,
		strings.Replace(strings.Replace(line, "user sallyport", "user nocommand", 1), " +hsetnx", "", 1),
		strings.Replace(strings.Replace(line, "user sallyport", "user noinfo", 1), " +info", "", 1),
		strings.Replace(strings.Replace(line, "user sallyport", "user nochannel", 1), " &sallyport:*", "", 1),
		strings.Replace(strings.Replace(line, "user sallyport", "user nokey", 1), " ~sallyport:*", " ~other:*", 1),
	}})
	for name, tc := range map[string]struct {
		url  string
		want error
	}{
		"nobody listens":    {"redis://:s3cret@127.0.0.1:1", redisstore.ErrUnavailable},
		"no password":       {"redis://" + srv.Addr(), redisstore.ErrDenied},
		"a wrong password":  {"redis://:s3cr3t@" + srv.Addr(), redisstore.ErrDenied},
		"a missing command": {srv.UserURL("nocommand", "secret"), redisstore.ErrDenied},
		"no INFO":           {srv.UserURL("noinfo", "secret"), redisstore.ErrDenied},
		"missing channels":  {srv.UserURL("nochannel", "secret"), redisstore.ErrDenied},
		"missing keys":      {srv.UserURL("nokey", "secret"), redisstore.ErrDenied},
	} {
		t.Run(name, func(t *testing.T) { unopened(t, redisstore.Options{URL: tc.url}, tc.want) })
	}
	replica := redistest.Start(t, redistest.Options{Password: "s3cret", ReplicaOf: srv})
	unopened(t, redisstore.Options{URL: replica.URL()}, redisstore.ErrUnavailable)
}

// TestNoDocumentedRightIsNeedless: without any one of the documented rights a
// store is not opened, so that none is missed in the middle of an exchange.
func TestNoDocumentedRightIsNeedless(t *testing.T) {
	t.Parallel()
	line := documentedACL(t)
	optional := map[string]bool{
		"hello": true, "auth": true, // a server lets anyone log in
		"select": true, "ping": true, "unsubscribe": true, // for a database, and a silent subscription
	}
	var acl, names []string
	for _, f := range strings.Fields(line) {
		if right, ok := strings.CutPrefix(f, "+"); ok && !optional[right] {
			names = append(names, right)
			acl = append(acl, strings.Replace(strings.Replace(line, "user sallyport", "user without-"+right, 1), " "+f+" ", " ", 1))
		}
	}
	acl = append(acl[:len(acl):len(acl)], line)
	for i, right := range names {
		if strings.Contains(acl[i]+" ", " +"+right+" ") { // the last of the line
			acl[i] = strings.TrimSuffix(acl[i], " +"+right)
		}
	}
	srv := redistest.Start(t, redistest.Options{ACL: acl})
	for _, right := range names {
		t.Run(right, func(t *testing.T) {
			unopened(t, redisstore.Options{URL: srv.UserURL("without-"+right, "secret")}, redisstore.ErrDenied)
		})
	}
	open(t, redisstore.Options{URL: srv.UserURL("sallyport", "secret"), Prefix: "sallyport"})
}

// fake is a server that answers everything with one line, but for what a
// connection begins with.
func fake(t *testing.T, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() { // ends with the listener
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // ends with the connection
				defer c.Close()
				for r := bufio.NewReader(c); ; {
					head, err := r.ReadString('\n')
					if err != nil {
						return
					}
					n, _ := strconv.Atoi(strings.TrimSpace(head[1:]))
					for range n {
						size, _ := r.ReadString('\n')
						m, _ := strconv.Atoi(strings.TrimSpace(size[1:]))
						if _, err := r.Discard(m + 2); err != nil {
							return
						}
					}
					if _, err := c.Write([]byte(answer + "\r\n")); err != nil {
						return
					}
				}
			}()
		}
	}()
	return "redis://" + l.Addr().String()
}

func TestWhatTheServersErrorsMean(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]error{
		"-LOADING Redis is loading the dataset in memory":               redisstore.ErrUnavailable,
		"-MASTERDOWN Link with MASTER is down":                          redisstore.ErrUnavailable,
		"-READONLY You can't write against a read only replica.":        redisstore.ErrUnavailable,
		"-OOM command not allowed when used memory > 'maxmemory'.":      redisstore.ErrUnavailable,
		"-NOREPLICAS Not enough good replicas to write.":                redisstore.ErrUnavailable,
		"-MISCONF Redis is configured to save RDB snapshots":            redisstore.ErrUnavailable,
		"-BUSY Redis is busy running a script.":                         redisstore.ErrUnavailable,
		"-MOVED 866 127.0.0.1:1":                                        redisstore.ErrUnavailable,
		"-CLUSTERDOWN The cluster is down":                              redisstore.ErrUnavailable,
		"-ERR max number of clients reached":                            redisstore.ErrUnavailable,
		"-NOAUTH Authentication required.":                              redisstore.ErrDenied,
		"-WRONGPASS invalid username-password pair":                     redisstore.ErrDenied,
		"-NOPERM this user has no permissions to run the 'get' command": redisstore.ErrDenied,
	} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			s := unprobed(t, redisstore.Options{URL: fake(t, answer)})
			_, _, err := s.Commit(t.Context(), "acme", tokens.Committed{Record: record(1), Enrolment: true})
			if !errors.Is(err, want) || errors.Is(err, tokens.ErrUnknown) {
				t.Errorf("Commit: %v", err)
			}
			if err := s.Claim(t.Context(), "acme", []string{"x"}); !errors.Is(err, want) || errors.Is(err, tokens.ErrUnknown) {
				t.Errorf("Claim: %v", err)
			}
		})
	}
}

// TestFailure18AFullServer: the save is refused, and says that nothing was
// written.
func TestFailure18AFullServer(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t, redistest.Options{})
	s := open(t, redisstore.Options{URL: srv.URL()})
	before := enrol(t, s)
	hold(t, s, func(ctx context.Context, h tokens.Hold) {
		for _, tc := range []struct {
			set   []any
			unset []any
		}{
			{[]any{"CONFIG", "SET", "maxmemory", "1"}, []any{"CONFIG", "SET", "maxmemory", "0"}},
			{[]any{"CONFIG", "SET", "min-replicas-to-write", "1"}, []any{"CONFIG", "SET", "min-replicas-to-write", "0"}},
			{[]any{"REPLICAOF", "127.0.0.1", "1"}, []any{"REPLICAOF", "NO", "ONE"}},
		} {
			if _, err := srv.Do(ctx, tc.set...); err != nil {
				t.Fatal(err)
			}
			r, _ := h.Record()
			if err := h.Save(ctx, r); !unwritten(err) {
				t.Errorf("%v: Save: %v", tc.set, err)
			}
			if _, _, err := s.Commit(ctx, "acme", tokens.Committed{Record: record(2)}); !unwritten(err) {
				t.Errorf("%v: Commit: %v", tc.set, err)
			}
			if diff := cmp.Diff(before, load(t, s)); diff != "" {
				t.Errorf("%v: %s", tc.set, diff)
			}
			if _, err := srv.Do(ctx, tc.unset...); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// unwritten says that err means: nothing was written. A server that became a
// replica has another identity, which fences as well.
func unwritten(err error) bool {
	return (errors.Is(err, redisstore.ErrUnavailable) || errors.Is(err, tokens.ErrFenced)) && !errors.Is(err, tokens.ErrUnknown)
}

// TestFailure41ARecordThatCannotBeRead: a newer sallyport may know states that
// this one doesn't.
func TestFailure41ARecordThatCannotBeRead(t *testing.T) {
	t.Parallel()
	s := open(t, redisstore.Options{LockTTL: 10 * time.Second})
	if err := s.PlantRaw("acme", `{"schema":2,"org":"acme","state":"levitating"}`); err != nil {
		t.Fatal(err)
	}
	_, err := s.Load(t.Context(), "acme")
	if !errors.Is(err, tokens.ErrSchema) {
		t.Errorf("Load: %v", err)
	}
	for range 2 { // it frees the lock
		if err := s.Hold(t.Context(), "acme", func(context.Context, tokens.Hold) error { return nil }); !errors.Is(err, tokens.ErrSchema) {
			t.Errorf("Hold: %v", err)
		}
	}
	if _, _, err := s.Commit(t.Context(), "acme", tokens.Committed{Record: record(2), Enrolment: true}); !errors.Is(err, tokens.ErrSchema) {
		t.Errorf("Commit: %v", err)
	}
	failed := 0
	for _, err := range s.All(t.Context()) {
		if err != nil {
			failed++
		}
	}
	if failed != 1 {
		t.Errorf("All: %d failed", failed)
	}
}
