package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// narrator tells what happens: with a progress display on a terminal, in plain
// lines elsewhere. It is safe for concurrent use.
type narrator struct {
	live bool // on a terminal

	mu    sync.Mutex
	out   io.Writer // guarded by mu
	steps int       // guarded by mu
	drawn time.Time // guarded by mu: of the last progress
}

func newNarrator(out io.Writer) *narrator {
	f, ok := out.(*os.File)
	return &narrator{out: out, live: ok && term.IsTerminal(int(f.Fd()))}
}

// clear is what removes a progress display.
const clear = "\r\x1b[K"

func (n *narrator) line(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.live {
		fmt.Fprint(n.out, clear)
	}
	fmt.Fprintf(n.out, format+"\n", args...)
}

func (n *narrator) intro() {
	n.line(`sallyport demo: a simulated Salesforce, a real sallyport in front of it, real HTTPS calls through CONNECT; all on loopback.
Refresh tokens here are single-use, as Salesforce has them: a reused one ends the whole grant.
To be short it waits seconds where the defaults wait minutes (SALLYPORT_TAKEOVER_AFTER=2s), and asks about doubts early (SALLYPORT_IN_DOUBT=ask).`)
}

func (n *narrator) step(format string, args ...any) {
	n.mu.Lock()
	n.steps++
	i := n.steps
	n.mu.Unlock()
	n.line("\n%d. "+format, append([]any{i}, args...)...)
}

func (n *narrator) fact(format string, args ...any) { n.line("   ✓ "+format, args...) }

func (n *narrator) failed(step int, err error) { n.line("   ✗ step %d: %v", step, err) }

func (n *narrator) end(format string, args ...any) { n.line("\n"+format, args...) }

// progress shows how far something is, on a terminal only.
func (n *narrator) progress(format string, args ...any) {
	if !n.live {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if time.Since(n.drawn) < 50*time.Millisecond {
		return
	}
	n.drawn = time.Now()
	fmt.Fprintf(n.out, clear+"   … "+format, args...)
}

// wait waits for d, or until ctx ends, whose error it returns.
func (n *narrator) wait(ctx context.Context, d time.Duration, what string) error {
	start := time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(d)
	defer end.Stop()
	for {
		select {
		case <-tick.C:
			n.progress("%s (%.1f of %.1f s)", what, time.Since(start).Seconds(), d.Seconds())
		case <-end.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
