package redistest_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/redistest"
)

func TestWithoutRedisItFailsAndSaysHowToGetIt(t *testing.T) {
	t.Setenv("PATH", "")
	if _, err := redistest.Run(redistest.Options{Dir: t.TempDir()}); !errors.Is(err, redistest.ErrMissing) {
		t.Errorf("Run: %v", err)
	}
}

func TestAServerKeepsWhatItAppended(t *testing.T) {
	s := redistest.Start(t, redistest.Options{AppendOnly: true, Password: "pw"})
	ctx := t.Context()
	if _, err := s.Do(ctx, "SET", "a", "1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if v, err := s.Do(ctx, "GET", "a"); v != "1" {
		t.Errorf("after a restart: %v, %v", v, err)
	}
	if err := s.FlushAll(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := s.Do(short, "PING"); err == nil {
		t.Error("a stopped server answers")
	}
	if err := s.Cont(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Do(ctx, "PING"); err != nil {
		t.Error(err)
	}
}

// TestTheProxyDoesWhatItIsTold to one request each.
func TestTheProxyDoesWhatItIsTold(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	p := redistest.StartProxy(t, s.Addr())
	say := func(line string) (string, error) {
		t.Helper()
		c, err := net.Dial("tcp", p.Addr())
		if err != nil {
			return "", err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Write([]byte(line + "\r\n")); err != nil {
			return "", err
		}
		return bufio.NewReader(c).ReadString('\n')
	}
	a, err := say("INCR n")
	if a != ":1\r\n" {
		t.Fatalf("it says %q, %v", a, err)
	}
	incr := func(b []byte) bool { return bytes.Contains(b, []byte("INCR")) }
	done := p.LoseReply(incr)
	if a, err := say("INCR n"); err == nil {
		t.Errorf("the lost answer was %q", a)
	}
	<-done
	hit, deliver := p.Withhold(incr)
	if a, err := say("INCR n"); err == nil {
		t.Errorf("the withheld answer was %q", a)
	}
	<-hit
	if a, err := say("GET n"); a != "$1\r\n" || err != nil {
		t.Errorf("GET says %q, %v", a, err)
	}
	deliver()
	if a, err := say("INCR n"); a != ":4\r\n" || err != nil {
		t.Errorf("in the end it says %q, %v", a, err)
	}
	p.Delay(50 * time.Millisecond)
	began := time.Now()
	if _, err := say("PING"); err != nil || time.Since(began) < 50*time.Millisecond {
		t.Errorf("a delayed answer came in %v, %v", time.Since(began), err)
	}
	p.Refuse(true)
	if a, err := say("PING"); err == nil {
		t.Errorf("a refused connection says %q", a)
	}
}
