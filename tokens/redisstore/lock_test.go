package redisstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/redistest"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/redisstore"
)

func TestTwoStoresTakeTurns(t *testing.T) {
	t.Parallel()
	o := redisstore.Options{Prefix: prefix()}
	a, b := open(t, o), open(t, o)
	var inside atomic.Int32
	var delays []time.Duration
	for range 5 {
		in := make(chan time.Time, 1)
		var released time.Time
		hold(t, a, func(context.Context, tokens.Hold) {
			inside.Add(1)
			go func() { // ends when it had its turn
				hold(t, b, func(context.Context, tokens.Hold) {
					if inside.Load() != 0 {
						t.Error("two hold one org")
					}
					in <- time.Now()
				})
			}()
			for b.Waiting() == 0 {
				await(t, "the waiter", time.After(time.Millisecond))
			}
			await(t, "a while", time.After(30*time.Millisecond))
			inside.Add(-1)
			released = time.Now()
		})
		delays = append(delays, await(t, "the other's turn", in).Sub(released))
	}
	quick := 0
	for _, d := range delays {
		if d < 50*time.Millisecond {
			quick++
		}
	}
	if quick < 3 {
		t.Errorf("the waiter came in %v after the release", delays)
	}
	t.Logf("the waiter came in %v after the release", delays)
}

func TestALockIsRenewed(t *testing.T) {
	t.Parallel()
	o := redisstore.Options{Prefix: prefix(), LockTTL: 1200 * time.Millisecond}
	a, b := open(t, o), open(t, o)
	hold(t, a, func(ctx context.Context, h tokens.Hold) {
		ctx, cancel := context.WithTimeout(ctx, 2500*time.Millisecond)
		defer cancel()
		err := b.Hold(ctx, "acme", func(context.Context, tokens.Hold) error { t.Error("two hold one org"); return nil })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Hold: %v", err)
		}
		select {
		case <-h.Lost():
			t.Error("the lock was lost")
		default:
		}
	})
}

// TestFailure35WhoDoesNotHoldDoesNotRelease: a lock that another has by now is
// neither renewed nor released.
func TestFailure35WhoDoesNotHoldDoesNotRelease(t *testing.T) {
	t.Parallel()
	for name, ttl := range map[string]time.Duration{"released": time.Minute, "renewed": 1200 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := redisstore.Options{Prefix: prefix(), LockTTL: ttl}
			a := open(t, o)
			o.LockTTL = time.Minute
			b := open(t, o)
			held, end := make(chan struct{}), make(chan struct{})
			go func() { // ends with end
				<-held
				hold(t, b, func(context.Context, tokens.Hold) { held <- struct{}{}; <-end })
				close(held)
			}()
			hold(t, a, func(_ context.Context, h tokens.Hold) {
				if !a.Expire("acme") {
					t.Error("nobody holds the lock")
				}
				held <- struct{}{}
				await(t, "the other's hold", held)
				if name == "renewed" {
					await(t, "Lost", h.Lost())
				}
			})
			ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
			defer cancel()
			err := a.Hold(ctx, "acme", func(context.Context, tokens.Hold) error { t.Error("two hold one org"); return nil })
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Hold: %v", err)
			}
			close(end)
			await(t, "the other's end", held)
		})
	}
}

// TestALockIsLostWithTheServer: without an answer to renewals, the lock counts
// as lost once its life is over, and fn goes on.
func TestALockIsLostWithTheServer(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t, redistest.Options{})
	s := open(t, redisstore.Options{URL: srv.URL(), LockTTL: 500 * time.Millisecond})
	hold(t, s, func(ctx context.Context, h tokens.Hold) {
		if err := srv.Stop(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		await(t, "Lost", h.Lost())
		if d := time.Since(began); d > 2*time.Second {
			t.Errorf("it took %v", d)
		}
		if ctx.Err() != nil {
			t.Error("fn's context ended with the lock")
		}
		if err := srv.Cont(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestFailure03ALockThatTheServerLostIsTold: whoever holds hears of it at the
// next renewal, though the server answers and nobody else has the lock.
func TestFailure03ALockThatTheServerLostIsTold(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t, redistest.Options{})
	s := open(t, redisstore.Options{URL: srv.URL(), LockTTL: 900 * time.Millisecond})
	hold(t, s, func(_ context.Context, h tokens.Hold) {
		if err := srv.FlushAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		await(t, "Lost", h.Lost())
	})
}

// TestFailure01AHolderThatWasPaused: its process is stopped for longer than its
// lock lives, another takes the lock, and what it saves afterwards is fenced.
func TestFailure01AHolderThatWasPaused(t *testing.T) {
	t.Parallel()
	o := redisstore.Options{URL: server(t).URL(), Prefix: prefix(), LockTTL: 400 * time.Millisecond}
	s := open(t, o)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "REDISSTORE_TEST_HOLDER="+o.URL+" "+o.Prefix+" "+o.LockTTL.String())
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
	said := bufio.NewScanner(out)
	if !said.Scan() || said.Text() != "held" {
		t.Fatalf("the holder says %q", said.Text())
	}
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var mine tokens.Record
	hold(t, s, func(ctx context.Context, h tokens.Hold) { // waits for the end of the lock
		if err := h.Save(ctx, record(1)); err != nil {
			t.Error(err)
		}
		mine, _ = h.Record()
	})
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(in, "save")
	if !said.Scan() || said.Text() != "fenced, and lost" {
		t.Errorf("the holder says %q", said.Text())
	}
	if r := load(t, s); r.Revision != mine.Revision {
		t.Errorf("revision %d, want %d", r.Revision, mine.Revision)
	}
}

// holder is the process that is stopped.
func holder(spec string) error {
	var o redisstore.Options
	var ttl string
	if _, err := fmt.Sscan(spec, &o.URL, &o.Prefix, &ttl); err != nil {
		return err
	}
	o.LockTTL, _ = time.ParseDuration(ttl)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s, err := redisstore.Open(ctx, o)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Hold(ctx, "acme", func(ctx context.Context, h tokens.Hold) error {
		fmt.Println("held")
		bufio.NewScanner(os.Stdin).Scan()
		var says []string
		if err := h.Save(ctx, record(9)); errors.Is(err, tokens.ErrFenced) {
			says = append(says, "fenced")
		}
		select {
		case <-h.Lost():
			says = append(says, "lost")
		case <-ctx.Done():
		}
		fmt.Println(strings.Join(says, ", and "))
		return nil
	})
}

func TestCloseEndsHoldsAndWaiters(t *testing.T) {
	t.Parallel()
	s := open(t, redisstore.Options{})
	waiter := make(chan error, 1)
	err := s.Hold(t.Context(), "acme", func(ctx context.Context, h tokens.Hold) error {
		go func() { // ends with Close
			waiter <- s.Hold(context.Background(), "acme", func(context.Context, tokens.Hold) error { return nil })
		}()
		for s.Waiting() == 0 {
			await(t, "the waiter", time.After(time.Millisecond))
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		await(t, "Lost", h.Lost())
		if err := await(t, "the waiter's end", waiter); !errors.Is(err, redisstore.ErrClosed) {
			t.Errorf("who waited: %v", err)
		}
		return h.Save(ctx, record(1))
	})
	if !errors.Is(err, redisstore.ErrClosed) {
		t.Errorf("Save after Close: %v", err)
	}
	if _, err := s.Load(t.Context(), "acme"); !errors.Is(err, redisstore.ErrClosed) {
		t.Errorf("Load after Close: %v", err)
	}
}
