package main

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The kinds of load.
const (
	keptAlive = "kept-alive" // one connection a caller, request after request
	fresh     = "fresh"      // CONNECT, TLS and one request, again and again
	http2     = "http2"      // four connections shared by all callers
	held      = "held"       // connections that made one request and now idle
)

// warmUp is how long a load runs before it is measured.
const warmUp = 300 * time.Millisecond

// A load is an order to the role "client".
type load struct {
	Kind    string
	Target  string // host:port to dial: the proxy, or the upstream
	Proxied bool
	Auth    string
	Bearer  string
	CAFile  string
	Path    string
	Callers int
	Resume  bool // offer a session ticket
	Seconds float64
}

// A tally is what a load came to. Times are in seconds.
type tally struct {
	Requests, Bytes, Resumed int64
	Errors                   int64
	FirstError               string
	Seconds, P50, P99        float64
}

// playClient is the role "client". An order is answered with a ready when the
// measured part begins and with a tally when it is over; a held load is over
// when the next order, whatever it is, comes.
func playClient(in *json.Decoder, out *json.Encoder) error {
	debug.SetGCPercent(400)
	for in.More() {
		var l load
		if err := in.Decode(&l); err != nil {
			return err
		}
		if err := l.play(in, out); err != nil {
			return err
		}
	}
	return nil
}

func (l load) play(in *json.Decoder, out *json.Encoder) error {
	callers, err := l.callers()
	defer func() {
		for _, c := range callers {
			c.close()
		}
	}()
	if err != nil {
		return errors.Join(out.Encode(ready{}), out.Encode(tally{Errors: 1, FirstError: err.Error()}))
	}
	if l.Kind == held {
		t := drive(callers, 0)
		var release any
		return errors.Join(out.Encode(ready{}), in.Decode(&release), out.Encode(t))
	}
	if t := drive(callers, warmUp); t.Errors > 0 {
		return errors.Join(out.Encode(ready{}), out.Encode(t))
	}
	if err := out.Encode(ready{}); err != nil {
		return err
	}
	return out.Encode(drive(callers, time.Duration(l.Seconds*float64(time.Second))))
}

// A caller makes one request after another and waits for each answer.
type caller interface {
	do() (bytes int64, resumed bool, err error)
	close()
}

// drive lets every caller make requests for d, and one at least. A caller stops
// at its first error.
func drive(callers []caller, d time.Duration) tally {
	var (
		mu    sync.Mutex // guards t and all
		t     tally
		all   []time.Duration
		wg    sync.WaitGroup
		begin = time.Now()
		until = begin.Add(d)
	)
	for _, c := range callers {
		wg.Go(func() {
			took := make([]time.Duration, 0, 1<<12)
			var size, resumed int64
			var failed error
			for now := time.Now(); ; {
				n, r, err := c.do()
				if failed = err; err != nil {
					break
				}
				size += n
				if r {
					resumed++
				}
				then := now
				now = time.Now()
				took = append(took, now.Sub(then))
				if !now.Before(until) {
					break
				}
			}
			mu.Lock()
			defer mu.Unlock()
			all, t.Bytes, t.Resumed = append(all, took...), t.Bytes+size, t.Resumed+resumed
			if failed != nil {
				t.Errors++
				t.FirstError = failed.Error()
			}
		})
	}
	wg.Wait()
	t.Seconds, t.Requests = time.Since(begin).Seconds(), int64(len(all))
	slices.Sort(all)
	if len(all) > 0 {
		t.P50, t.P99 = all[len(all)/2].Seconds(), all[len(all)*99/100].Seconds()
	}
	return t
}

// callers opens what the load needs, at most 16 connections at a time.
func (l load) callers() ([]caller, error) {
	roots, err := pool(l.CAFile)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.CurveP256}}
	if l.Kind == http2 {
		return l.http2Callers(config), nil
	}
	made := make([]caller, l.Callers)
	errs := make([]error, l.Callers)
	var wg sync.WaitGroup
	var failed atomic.Bool
	for start := range 16 {
		wg.Go(func() {
			for i := start; i < l.Callers && !failed.Load(); i += 16 {
				w := &wire{load: l, config: config.Clone(), buf: make([]byte, l.bufferSize()), request: l.request()}
				if l.Resume {
					w.config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
				}
				if l.Kind != fresh {
					errs[i] = w.open()
				}
				if errs[i] != nil {
					failed.Store(true)
				}
				made[i] = w
			}
		})
	}
	wg.Wait()
	made = slices.DeleteFunc(made, func(c caller) bool { return c == nil })
	return made, errors.Join(errs...)
}

// bufferSize is small for connections that are many.
func (l load) bufferSize() int {
	if l.Kind == held {
		return 4 << 10
	}
	return 64 << 10
}

func (l load) request() []byte {
	r := "GET " + l.Path + " HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: bench/1\r\nAccept: application/json\r\n"
	if l.Bearer != "" {
		r += "Authorization: Bearer " + l.Bearer + "\r\n"
	}
	return []byte(r + "\r\n")
}
