package journal

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/tokens"
)

// write is one line on its way.
type write struct {
	line    line
	payload []byte
	err     error
	done    bool // on the disk, or for a settle in the file
}

// batch is the writes that share an fsync.
type batch struct {
	writes  []*write
	flushed bool // guarded by Journal.io
}

// output is the file that is written to.
type output struct {
	file     File
	number   int64
	name     string
	size     int64
	durable  int64
	reserved int64
}

// submit writes a line together with those of whoever came meanwhile. The
// first of them that gets to write does it for all.
func (j *Journal) submit(l line) error {
	payload, err := l.payload()
	if err != nil {
		return err
	}
	w := &write{line: l, payload: payload}
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return ErrClosed
	}
	if j.next == nil {
		j.next = new(batch)
	}
	b := j.next
	b.writes = append(b.writes, w)
	j.mu.Unlock()

	j.io.Lock()
	defer j.io.Unlock()
	if !b.flushed {
		j.mu.Lock()
		j.next = nil
		closed := j.closed
		j.mu.Unlock()
		b.flushed = true
		if closed {
			fail(b.writes, ErrClosed)
		} else {
			j.flush(b.writes)
		}
	}
	return w.err
}

func fail(ws []*write, err error) {
	for _, w := range ws {
		w.err = err
	}
}

// split returns the begins and the others.
func split(ws []*write) (begins, others []*write) {
	for _, w := range ws {
		if w.line.Line == lineBegin {
			begins = append(begins, w)
		} else {
			others = append(others, w)
		}
	}
	return begins, others
}

// flush writes a batch, and goes on to another file where this one fails: an
// answer is worth another try, a begin isn't.
func (j *Journal) flush(all []*write) {
	ws := j.admit(all)
	defer j.publish(all)
	if len(ws) == 0 {
		return
	}
	err := j.append(ws)
	if err == nil {
		return
	}
	begins, others := split(ws)
	fail(begins, err)
	if isFull(err) {
		err = j.oneByOne(others)
	}
	if err == nil {
		return
	}
	j.degrade(err)
	if err := j.moveOn(undone(others)); err != nil {
		fail(undone(others), err)
	}
}

// oneByOne lets what has its room get through on a full disk: nothing is left
// there of what was tried together. It returns an error once the disk fails
// otherwise.
func (j *Journal) oneByOne(ws []*write) error {
	for _, w := range ws {
		if w.err = j.append([]*write{w}); w.err != nil && !isFull(w.err) {
			return w.err
		}
	}
	return nil
}

func undone(ws []*write) []*write {
	return slices.DeleteFunc(slices.Clone(ws), func(w *write) bool { return w.done || isFull(w.err) })
}

func isFull(err error) bool {
	d, ok := errors.AsType[*DiskError](err)
	return ok && d.Full
}

// admit refuses the begins that may not or cannot be, reserves the room for the
// answers of the others, and returns what is to be written.
func (j *Journal) admit(all []*write) []*write {
	begins, ws := split(all)
	if len(begins) == 0 {
		return ws
	}
	if j.Degraded() {
		fail(begins, tokens.ErrDegraded)
		return ws
	}
	if err := j.ready(); err != nil {
		fail(begins, err)
		return ws
	}
	need := j.out.size + int64(len(j.waiting))*room
	for _, w := range ws {
		need += frameHead + int64(len(w.payload))
	}
	for _, w := range begins {
		n := need + frameHead + int64(len(w.payload)) + room
		if w.err = j.reserve(n); w.err != nil {
			continue
		}
		need = n
		ws = append(ws, w)
	}
	return ws
}

func (j *Journal) reserve(size int64) error {
	size = (size + room - 1) / room * room
	if size <= j.out.reserved {
		return nil
	}
	if err := j.out.file.Reserve(size); err != nil {
		return diskError("reserve", j.out.name, err)
	}
	j.out.reserved = size
	return nil
}

// ready makes a file where there is none to write to.
func (j *Journal) ready() error {
	if j.out != nil {
		return nil
	}
	out, err := j.create()
	if err != nil {
		return err
	}
	j.out = out
	return nil
}

// append writes ws and, unless all of them are settles, fsyncs.
func (j *Journal) append(ws []*write) error {
	if len(ws) == 0 {
		return nil
	}
	if err := j.ready(); err != nil {
		return err
	}
	o := j.out
	var buf []byte
	lazy := true
	for _, w := range ws {
		buf = appendFrame(buf, o.durable, w.payload)
		lazy = lazy && w.line.Line == lineSettle
	}
	if _, err := o.file.Write(buf); err != nil {
		derr := diskError("write", o.name, err)
		if o.file.Truncate(o.size) != nil {
			derr.Full = false // something is left
		}
		return derr
	}
	o.size += int64(len(buf))
	for _, w := range ws {
		if w.line.Line == lineSettle {
			j.unsure = append(j.unsure, w.line)
		}
	}
	if !lazy {
		if err := o.file.Sync(); err != nil {
			return &DiskError{Op: "fsync", File: o.name, Err: err}
		}
		o.durable, j.unsure = o.size, nil
	}
	for _, w := range ws {
		w.done, w.err = true, nil
	}
	return nil
}

// moveOn leaves the file and writes what is wanted of it into a new one: the
// marks that no fsync has covered, and ws. The new file says where the old one
// ends, so that a begin which failed counts no more, wherever it got to.
func (j *Journal) moveOn(ws []*write) error {
	j.leave()
	var again []*write
	for _, l := range j.unsure {
		p, err := l.payload()
		if err != nil {
			return err
		}
		again = append(again, &write{line: l, payload: p})
	}
	j.unsure = nil
	err := j.ready()
	if err == nil {
		err = j.append(append(again, ws...))
	}
	if err != nil {
		j.leave()
		return fmt.Errorf("journal: the new file failed too: %w", err)
	}
	return nil
}

// leave closes the file that failed. What it holds beyond its last fsync counts
// no more.
func (j *Journal) leave() {
	if j.out == nil {
		return
	}
	if err := j.out.file.Close(); err != nil {
		j.log.Warn("a journal file that failed did not close", "error", err)
	}
	j.last = end{file: j.out.number, size: j.out.durable, durable: j.out.durable}
	j.out = nil
}

func (j *Journal) degrade(cause error) {
	j.mu.Lock()
	first := !j.degraded
	j.degraded = true
	j.mu.Unlock()
	if first {
		j.log.Error("the journal's disk failed: no exchange begins here until a restart on a sound disk", "error", cause)
	}
}

// publish lets readers see what was written, and compacts.
func (j *Journal) publish(all []*write) {
	j.mu.Lock()
	for _, w := range all {
		if !w.done {
			continue
		}
		j.index.apply(w.line, frameHead+int64(len(w.payload)))
		if w.line.Line == lineBegin {
			j.waiting[w.line.Attempt] = struct{}{}
		} else {
			delete(j.waiting, w.line.Attempt)
		}
	}
	j.mu.Unlock()
	j.maybeCompact()
}
