package journal

import (
	"errors"
	"io/fs"

	"github.com/sallyport/sallyport/tokens"
)

// create makes the next file, which continues the last one. The caller holds
// j.io.
func (j *Journal) create() (*output, error) {
	j.top++
	o := &output{number: j.top, name: fileName(j.dir, j.top)}
	payload, err := line{Line: lineFile, Head: &head{
		Format: format, Replica: j.replica, After: j.last.file, End: j.last.size, Durable: j.last.durable,
	}}.payload()
	if err != nil {
		return nil, err
	}
	if o.file, err = j.fs.Create(o.name); err != nil {
		return nil, diskError("create", o.name, err)
	}
	buf := appendFrame(nil, 0, payload)
	if err := j.finish(o, buf); err != nil {
		// Whatever is left of it continues nothing that anyone was promised.
		if rerr := j.fs.Remove(o.name); rerr != nil {
			j.log.Warn("an unfinished journal file stays", "error", rerr)
		}
		return nil, err
	}
	if err := j.fs.SyncDir(j.dir); err != nil {
		return nil, errors.Join(diskError("fsync of the directory", o.name, err), o.file.Close())
	}
	return o, nil
}

// finish writes and fsyncs the first bytes of a file, and closes it where that
// fails.
func (j *Journal) finish(o *output, buf []byte) error {
	if _, err := o.file.Write(buf); err != nil {
		return errors.Join(diskError("write", o.name, err), o.file.Close())
	}
	if err := o.file.Sync(); err != nil {
		return errors.Join(diskError("fsync", o.name, err), o.file.Close())
	}
	o.size, o.durable = int64(len(buf)), int64(len(buf))
	return nil
}

// maybeCompact compacts where more than half of a large file is dead. The
// caller holds j.io.
func (j *Journal) maybeCompact() {
	if j.out == nil || j.out.size <= j.check {
		return
	}
	j.mu.Lock()
	live, size := j.index.live()
	degraded := j.degraded
	j.mu.Unlock()
	j.check = max(j.compactAbove, 2*size)
	if degraded || j.out.size <= j.check {
		return
	}
	if err := j.compact(live); err != nil {
		j.check += j.compactAbove
		j.log.Warn("the journal was not compacted", "error", err)
	}
}

// compact writes a file with nothing but kept, puts it in place of the others,
// and removes them. Where it fails before the new file has its name, the old
// one goes on; after that, nobody can say which of the two a crash would leave,
// so a third one continues the old, past the new. The caller holds j.io.
func (j *Journal) compact(kept []*entry) error {
	o, sizes, err := j.snapshot(kept)
	if err != nil {
		return err
	}
	renamed := j.fs.Rename(o.name+tmpSuffix, o.name)
	if err := errors.Join(renamed, j.fs.SyncDir(j.dir)); err != nil {
		j.leave()
		derr := diskError("rename", o.name, err)
		if !derr.Full {
			j.degrade(derr)
		}
		return errors.Join(derr, o.file.Close())
	}
	j.leave()
	j.out, j.last, j.unsure = o, end{}, nil
	j.adopt(kept, sizes)
	j.sweep(o.number)
	return nil
}

// adopt makes kept the index.
func (j *Journal) adopt(kept []*entry, sizes []int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, e := range kept {
		e.size = sizes[i]
	}
	j.index.keep(kept)
}

// snapshot writes kept to a file that doesn't have its name yet.
func (j *Journal) snapshot(kept []*entry) (*output, []int64, error) {
	var frames [][]byte
	var total int64
	sizes := make([]int64, len(kept))
	for i, e := range kept {
		for _, l := range e.lines() {
			p, err := l.payload()
			if err != nil {
				return nil, nil, err
			}
			frames = append(frames, p)
			sizes[i] += frameHead + int64(len(p))
		}
		total += sizes[i]
	}
	first, err := headOf(j.replica, total)
	if err != nil {
		return nil, nil, err
	}
	buf := appendFrame(make([]byte, 0, total+int64(len(first))+frameHead), 0, first)
	for _, p := range frames {
		buf = appendFrame(buf, int64(len(buf)), p) // durable before it has its name
	}
	j.top++
	o := &output{number: j.top, name: fileName(j.dir, j.top)}
	tmp := o.name + tmpSuffix
	if err := j.fs.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, diskError("remove", tmp, err)
	}
	if o.file, err = j.fs.Create(tmp); err != nil {
		return nil, nil, diskError("create", tmp, err)
	}
	if err := j.finish(o, buf); err != nil {
		if rerr := j.fs.Remove(tmp); rerr != nil {
			j.log.Warn("an unfinished journal file stays", "error", rerr)
		}
		return nil, nil, err
	}
	return o, sizes, nil
}

// headOf is the first line of a snapshot with total bytes behind it. It holds
// the length of the whole file, so that its own length must settle first.
func headOf(replica string, total int64) ([]byte, error) {
	h := &head{Format: format, Replica: replica, Snapshot: total}
	for {
		p, err := line{Line: lineFile, Head: h}.payload()
		if err != nil {
			return nil, err
		}
		if n := total + frameHead + int64(len(p)); n != h.Snapshot {
			h.Snapshot = n
			continue
		}
		return p, nil
	}
}

// sweep removes the files that number n replaces. One that stays is passed over
// at the next start.
func (j *Journal) sweep(n int64) {
	names, err := j.fs.List(j.dir)
	if err != nil {
		j.log.Warn("old journal files stay", "error", err)
		return
	}
	for _, name := range names {
		if m := fileNumber(name); m > 0 && m < n {
			if err := j.fs.Remove(fileName(j.dir, m)); err != nil {
				j.log.Warn("an old journal file stays", "error", err)
			}
		}
	}
}

// Forget drops org's secrets, by writing the journal anew without them: its
// answers, and the tokens in its records. What was tried stays known. It fails
// with a [*DiskError] where that couldn't be, and with the [*CorruptError] of a
// damaged journal, which a person must clear first; trying again is safe.
func (j *Journal) Forget(org tokens.OrgID) error {
	j.io.Lock()
	defer j.io.Unlock()
	if len(j.damage) > 0 {
		return errors.Join(j.damage...)
	}
	j.mu.Lock()
	closed := j.closed
	live, _ := j.index.live()
	kept := without(live, org)
	j.mu.Unlock()
	if closed {
		return ErrClosed
	}
	return j.compact(kept)
}
