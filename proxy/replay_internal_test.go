package proxy

import (
	"errors"
	"io"
	"sync"
	"testing"
)

// slowBody gives what is sent to it, when it is sent.
type slowBody struct {
	parts chan string
	began chan bool // A Read waits.
}

func newSlowBody() *slowBody { return &slowBody{make(chan string), make(chan bool, 10)} }

func (s *slowBody) Read(p []byte) (int, error) {
	s.began <- true
	part, ok := <-s.parts
	if !ok {
		return 0, io.EOF
	}
	return copy(p, part), nil
}

func attemptOf(t *testing.T, b *replayBody) io.ReadCloser {
	t.Helper()
	a, ok := b.next()
	if !ok {
		t.Fatal("the body can't be sent again")
	}
	return a
}

func read(t *testing.T, r io.Reader, want string) {
	t.Helper()
	p := make([]byte, len(want))
	if _, err := io.ReadFull(r, p); err != nil || string(p) != want {
		t.Errorf("%q, %v, want %q", p, err, want)
	}
}

// overlapping is a body whose first attempt has read "one" and waits for more, and its second attempt.
func overlapping(t *testing.T, most int64, b *budget) (body *replayBody, src *slowBody, second io.ReadCloser, first *sync.WaitGroup) {
	t.Helper()
	src = newSlowBody()
	body = newReplayBody(src, -1, most, b)
	a := attemptOf(t, body)
	first = &sync.WaitGroup{}
	first.Go(func() { read(t, a, "one") }) // Ends with the part.
	src.parts <- "one"
	first.Wait()
	first.Go(func() { _, _ = a.Read(make([]byte, 10)) }) // Ends with the next part.
	<-src.began
	<-src.began
	return body, src, attemptOf(t, body), first
}

func TestAReadOfTheFirstAttemptServesTheSecond(t *testing.T) {
	b := &budget{limit: 100}
	body, src, second, first := overlapping(t, 100, b)
	read(t, second, "one")
	var done sync.WaitGroup
	done.Go(func() { read(t, second, "two") }) // Ends with the part.
	src.parts <- "two"
	done.Wait()
	first.Wait()
	done.Go(func() { read(t, second, "three") }) // Ends with the part.
	src.parts <- "three"
	close(src.parts)
	done.Wait()
	if n, err := second.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("%d, %v", n, err)
	}
	if used := b.used.Load(); used != int64(len("onetwothree")) {
		t.Errorf("%d bytes of the budget", used)
	}
	body.release()
	if used := b.used.Load(); used != 0 {
		t.Errorf("%d bytes were not given back", used)
	}
}

func TestABodyThatIsLostWhileAttemptsOverlap(t *testing.T) {
	b := &budget{limit: 100}
	body, src, second, first := overlapping(t, 4, b)
	read(t, second, "one")
	src.parts <- "two" // More than may be kept.
	first.Wait()
	if _, err := second.Read(make([]byte, 10)); !errors.Is(err, errNoReplay) {
		t.Errorf("got %v", err)
	}
	if _, ok := body.next(); ok {
		t.Error("a third attempt of a body that is lost")
	}
	body.release()
	if used := b.used.Load(); used != 0 {
		t.Errorf("%d bytes were not given back", used)
	}
}

func TestABodyIsReleasedUnderARead(t *testing.T) {
	b := &budget{limit: 100}
	body, src, second, first := overlapping(t, 100, b)
	var done sync.WaitGroup
	read(t, second, "one")
	done.Go(func() { // Ends with the release.
		if _, err := second.Read(make([]byte, 1)); err == nil {
			t.Error("a body that was released is read on")
		}
	})
	body.release()
	done.Wait()
	src.parts <- "two"
	first.Wait()
	if used := b.used.Load(); used != 0 {
		t.Errorf("%d bytes were not given back", used)
	}
}

// A stream that was answered keeps nothing that nobody will ask for again.
func TestABodyIsSettled(t *testing.T) {
	b := &budget{limit: 100}
	body, src, second, first := overlapping(t, 100, b)
	body.settle()
	read(t, second, "one")
	var done sync.WaitGroup
	done.Go(func() { read(t, second, "two") }) // Ends with the part.
	src.parts <- "two"
	done.Wait()
	first.Wait()
	done.Go(func() { read(t, second, "three") }) // Ends with the part.
	src.parts <- "three"
	close(src.parts)
	done.Wait()
	if used := b.used.Load(); used != 0 {
		t.Errorf("%d bytes are kept for nobody", used)
	}
	body.release()
	if used := b.used.Load(); used != 0 {
		t.Errorf("%d bytes were given back twice", used)
	}
}
