package journal

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	filePrefix = "journal."
	tmpSuffix  = ".tmp"
)

func fileName(dir string, n int64) string {
	return filepath.Join(dir, fmt.Sprintf("%s%08d", filePrefix, n))
}

// fileNumber reads the number in a name, 0 where it isn't a journal's.
func fileNumber(name string) int64 {
	digits, ok := strings.CutPrefix(name, filePrefix)
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n < 1 {
		return 0
	}
	return n
}

// loaded is what the files of a directory hold.
type loaded struct {
	index   index
	replica string
	last    end // of what was read
	top     int64
	files   []int64 // all that are there
	stray   []string
	torn    int64 // bytes of tails that were never promised
	damage  []error
}

// end is where a file ends, and how much of it was promised.
type end struct{ file, size, durable int64 }

// whole stands for a file that counts as it is.
func whole(file int64) end { return end{file: file, size: math.MaxInt64} }

// maxHead is more than the first line of a file that continues another one
// takes. Nothing else is written to it before it and its name are durable, so
// that an unreadable file of that size holds nothing.
const maxHead = 256

// part is one file that was read.
type part struct {
	number int64
	name   string
	data   []byte
	frames []frame
	gaps   []gap
	head   head

	durable int64 // how much of it was promised
}

// load reads the newest file, the one that it continues, and so on back to the
// newest snapshot. It fails where a file can't be read or is of a newer format;
// damage is part of what it returns.
func load(fsys FS, dir string) (*loaded, error) {
	names, err := fsys.List(dir)
	if err != nil {
		return nil, err
	}
	l := new(loaded)
	for _, name := range names {
		if n := fileNumber(name); n > 0 {
			l.files = append(l.files, n)
		} else if strings.HasPrefix(name, filePrefix) && strings.HasSuffix(name, tmpSuffix) {
			l.stray = append(l.stray, filepath.Join(dir, name))
		}
	}
	slices.Sort(l.files)
	if len(l.files) > 0 {
		l.top = l.files[len(l.files)-1]
	}
	parts, err := l.chain(fsys, dir)
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		if err := l.add(p); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// chain reads the files that count, oldest first, each cut where its successor
// says.
func (l *loaded) chain(fsys FS, dir string) ([]*part, error) {
	var parts []*part
	next := whole(l.top)
	for _, n := range slices.Backward(l.files) {
		if n > next.file {
			continue // made by a failed attempt to continue; nothing in it was promised
		}
		if n < next.file {
			l.missing(dir, next)
			next = whole(n)
		}
		p, sound, err := readPart(fsys, dir, next)
		if err != nil {
			return nil, err
		}
		next = whole(n - 1)
		if !sound && len(p.frames) == 0 && len(p.data) <= maxHead {
			continue
		}
		parts = append(parts, p)
		if p.head.Snapshot > 0 {
			next = end{}
			break
		}
		if sound {
			next = end{file: p.head.After, size: p.head.End, durable: p.head.Durable}
		}
	}
	if next.file > 0 {
		l.missing(dir, next)
	}
	slices.Reverse(parts)
	return parts, nil
}

// missing notes a file that another one continues and that isn't there. Where
// nothing says that it continues one, none is missed.
func (l *loaded) missing(dir string, e end) {
	if e.durable > 0 {
		l.damage = append(l.damage, &CorruptError{File: fileName(dir, e.file), Resume: e.durable})
	}
}

// readPart reads one file up to its end and says whether its first line is
// sound.
func readPart(fsys FS, dir string, e end) (*part, bool, error) {
	p := &part{number: e.file, name: fileName(dir, e.file)}
	data, err := fsys.Read(p.name)
	if err != nil {
		return nil, false, err
	}
	p.data = data[:min(e.size, int64(len(data)))]
	p.frames, p.gaps = scan(p.data)
	sound := len(p.frames) > 0 && p.frames[0].at == 0
	if sound {
		var first line
		if err := json.Unmarshal(p.frames[0].payload, &first); err != nil || first.Head == nil {
			return nil, false, fmt.Errorf("%s doesn't begin as a journal file: %w", p.name, cmp.Or(err, fs.ErrInvalid))
		}
		p.head = *first.Head
		if p.head.Format > format {
			return nil, false, &FormatError{File: p.name, Found: p.head.Format, Known: format}
		}
	}
	p.durable = max(p.head.Snapshot, e.durable)
	for _, f := range p.frames {
		p.durable = max(p.durable, f.durable)
	}
	if size := int64(len(p.data)); size < p.durable {
		p.gaps = append(p.gaps, gap{at: size, resume: p.durable})
	}
	return p, sound, nil
}

// add applies the lines of a file.
func (l *loaded) add(p *part) error {
	l.replica = cmp.Or(p.head.Replica, l.replica)
	for _, f := range p.frames {
		var one line
		if err := json.Unmarshal(f.payload, &one); err != nil {
			return fmt.Errorf("%s, byte %d: a newer sallyport wrote it: %w", p.name, f.at, err)
		}
		if one.Record != nil && one.Record.Schema > schema {
			return &FormatError{File: p.name, Found: one.Record.Schema, Known: schema}
		}
		if one.Head == nil {
			l.index.apply(one, int64(f.size))
		}
	}
	size := int64(len(p.data))
	l.last = end{file: p.number, size: size, durable: size}
	for _, g := range p.gaps {
		if g.at < p.durable {
			l.damage = append(l.damage, &CorruptError{File: p.name, Offset: g.at, Resume: g.resume})
			continue
		}
		l.last.durable = p.durable
		if g.resume == size {
			l.last.size = g.at
			l.torn += size - g.at
		}
	}
	return nil
}
