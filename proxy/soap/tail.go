package soap

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"unicode/utf8"
)

// Limits of what follows the operation's start tag.
const (
	maxTailDepth = 256
	maxTailNames = 64 << 10 // All names of open elements together, in bytes.
)

// state is where in its syntax a tail stands.
type state uint8

const (
	inText      state = iota
	opened            // Behind <
	inName            // Of a start tag.
	inTag             // Behind white space in a start tag.
	inAttr            // In an attribute's name,
	behindAttr        // behind it and white space,
	behindSign        // behind its =,
	inValue           // in its value,
	behindVal         // behind its value's last quote.
	behindSlash       // Behind the / of an empty element.
	inEnd             // In an end tag's name,
	behindEnd         // behind it.
	inWord            // In the word that begins a comment or a section.
	inComment
	inSection
)

const (
	commentWord = "--"
	sectionWord = "[CDATA["
)

// tail watches the rest of an envelope go by: that it stays in the Body's one operation until it ends, so that no second
// Header, Body, Envelope or operation follows. It reads tags as strictly as a parser; it doesn't look at the names' and
// the text's meaning.
type tail struct {
	state state
	quote byte
	word  string // Of inWord.
	run   int    // How much of word, or how many dashes or brackets in a row, were seen.
	names []byte // Of the open elements, one behind the other, and of the tag that is read.
	marks []int  // Where each open element's name begins.
	from  int    // Where the name of the tag that is read begins.
	at    int64  // How many bytes of the body came before.

	part  [utf8.UTFMax]byte // Of a character whose rest hasn't come.
	parts int
}

// begin takes over from s behind the operation's start tag, and feeds what s has read on.
func (t *tail) begin(s *scanner) error {
	depth := s.depth
	if s.empty {
		depth--
	}
	t.names, t.marks = make([]byte, 0, 128), make([]int, 0, 16)
	for i := range depth {
		t.marks = append(t.marks, len(t.names))
		t.names = append(t.names, s.stack[i].name.full...)
	}
	t.at = int64(s.at)
	return t.feed(s.buf[s.at:])
}

func (t *tail) clone() tail {
	c := *t
	c.names, c.marks = bytes.Clone(t.names), slices.Clone(t.marks)
	return c
}

func (t *tail) fail(k Kind, i int, message string) error {
	return &Error{Kind: k, At: t.at + int64(i), Message: message}
}

// feed judges the bytes that follow. After an error the tail is of no use.
func (t *tail) feed(p []byte) error {
	if !t.utf8(p) {
		return t.fail(Encoding, 0, "bytes behind this one are no UTF-8: encode the body in UTF-8")
	}
	for i := 0; i < len(p); {
		n, err := t.step(p[i:], i)
		if err != nil {
			return err
		}
		i += n
	}
	t.at += int64(len(p))
	return nil
}

// step takes at least one byte of p, the i-th of what is fed, and says how many.
func (t *tail) step(p []byte, i int) (int, error) {
	switch t.state {
	case inText:
		return t.text(p, i)
	case inComment, inSection:
		return t.hidden(p, i)
	case inValue:
		n := bytes.IndexByte(p, t.quote)
		value := p
		if n >= 0 {
			value, t.state = p[:n], behindVal
		}
		if bytes.IndexByte(value, '<') >= 0 {
			return 0, t.fail(Malformed, i, "an attribute's value has a <: write &lt;")
		}
		return min(len(value)+1, len(p)), nil
	case inName, inEnd, inAttr:
		n := 0
		for n < len(p) && isName(p[n]) {
			n++
		}
		if n > 0 {
			if t.state != inAttr {
				if len(t.names)+n > maxTailNames {
					return 0, t.fail(TooComplex, i, "the names of nested elements are too long")
				}
				t.names = append(t.names, p[:n]...)
			}
			return n, nil
		}
	default:
	}
	return 1, t.tag(p[0], i)
}

func isName(c byte) bool {
	k := classes[c]
	return k == letter || k == digit || k == wide || c == ':'
}

func begins(c byte) bool { return classes[c] == letter || classes[c] == wide }

// text takes text up to the next <.
func (t *tail) text(p []byte, i int) (int, error) {
	n := bytes.IndexByte(p, '<')
	run := p
	if n >= 0 {
		run, t.state = p[:n], opened
	}
	if len(t.marks) < inBlock {
		for _, c := range run {
			if classes[c] != space {
				return 0, t.fail(Malformed, i, "there is text behind the operation")
			}
		}
	}
	return min(len(run)+1, len(p)), nil
}

// hidden takes what a comment or a CDATA section holds, up to its end.
func (t *tail) hidden(p []byte, i int) (int, error) {
	sign := byte(']')
	if t.state == inComment {
		sign = '-'
	}
	if t.run == 0 {
		n := bytes.IndexByte(p, sign)
		if n < 0 {
			return len(p), nil
		}
		t.run = 1
		return n + 1, nil
	}
	switch c := p[0]; {
	case c == '>' && t.run == 2:
		t.state = inText
	case t.state == inComment && t.run == 2:
		return 0, t.fail(Malformed, i, "a comment has -- inside: leave the comment out")
	case c == sign:
		t.run = 2
	default:
		t.run = 0
	}
	return 1, nil
}

// utf8 reports whether p, behind what came before, is UTF-8 as far as it goes.
func (t *tail) utf8(p []byte) bool {
	for t.parts > 0 && len(p) > 0 {
		t.part[t.parts] = p[0]
		t.parts, p = t.parts+1, p[1:]
		if whole := t.part[:t.parts]; utf8.FullRune(whole) {
			t.parts = 0
			if !utf8.Valid(whole) {
				return false
			}
		}
	}
	for n := 1; n <= min(utf8.UTFMax-1, len(p)); n++ {
		if last := p[len(p)-n:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				t.parts = copy(t.part[:], last)
				p = p[:len(p)-n]
			}
			break
		}
	}
	return utf8.Valid(p)
}

// Rest returns what follows [Head.Raw] in r, watched: its Read fails with an [*Error] before it gives anything that
// doesn't belong to the one operation and its envelope, or when the body ends before they do. It may be called again for
// every attempt. A reader is used by one goroutine at a time.
func (h Head) Rest(r io.Reader) io.Reader { return &rest{r: r, tail: h.tail.clone()} }

type rest struct {
	r      io.Reader
	tail   tail
	failed error
}

// Read implements io.Reader.
func (r *rest) Read(p []byte) (int, error) {
	if r.failed != nil {
		return 0, r.failed
	}
	n, err := r.r.Read(p)
	if bad := r.tail.feed(p[:n]); bad != nil {
		r.failed = bad
		return 0, bad
	}
	if errors.Is(err, io.EOF) && (len(r.tail.marks) > 0 || r.tail.state != inText) {
		err = r.tail.fail(Cut, 0, "the body ends inside of the envelope: send all of it")
		r.failed = err
	}
	return n, err
}
