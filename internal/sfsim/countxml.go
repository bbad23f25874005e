package sfsim

import (
	"bufio"
	"encoding/xml"
	"errors"
	"io"
)

// maxText is how much of one run of text a reader of XML sees.
const maxText = 64 << 10

// thin passes XML on, but of a run of text between two tags only the first
// 64 KiB, so that a file of any length inside an element takes no memory.
type thin struct {
	from *bufio.Reader
	tag  bool // between < and >
	name bool // between & and ;
	text int  // bytes of this run
}

func newThin(r io.Reader) *thin { return &thin{from: bufio.NewReaderSize(r, 64<<10)} }

// Read implements io.Reader.
func (t *thin) Read(p []byte) (int, error) {
	for {
		n, err := t.from.Read(p)
		kept := p[:0]
		for _, c := range p[:n] {
			if t.keep(c) {
				kept = append(kept, c)
			}
		}
		if len(kept) > 0 || err != nil || len(p) == 0 {
			return len(kept), err
		}
	}
}

func (t *thin) keep(c byte) bool {
	switch {
	case c == '<':
		t.tag, t.name, t.text = true, false, 0
		return true
	case t.tag:
		t.tag = c != '>'
		return true
	}
	if t.text++; t.text > maxText && !t.name {
		return false
	}
	t.name = c == '&' || t.name && c != ';'
	return true
}

// countXML reads XML of any length and returns how many elements of a name it has.
func countXML(r io.Reader, element string) (int, error) {
	d := xml.NewDecoder(newThin(r))
	n, any := 0, false
	for {
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			if !any {
				return 0, io.ErrUnexpectedEOF
			}
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if e, ok := t.(xml.StartElement); ok {
			any = true
			if e.Name.Local == element {
				n++
			}
		}
	}
}
