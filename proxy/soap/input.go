package soap

import (
	"errors"
	"fmt"
	"io"
)

// Sizes of what is kept of a body, in bytes.
const (
	firstRead  = 4 << 10
	bodyRoom   = 4 << 10 // For the tags of the Body and of the operation.
	emptyReads = 100     // In a row, as bufio counts them.
)

// input is what was read of a document so far. What was read never changes, so slices of it stay good while it grows.
type input struct {
	r     io.Reader // nil: buf is all there is.
	buf   []byte
	at    int // The next byte to look at.
	limit int // How long buf may grow.
	ended error
}

// more reads on, and returns an error unless there is at least one byte more.
func (in *input) more() error {
	if in.ended == nil && in.r == nil {
		in.ended = io.EOF
	}
	for range emptyReads {
		if in.ended != nil {
			return in.end()
		}
		if len(in.buf) >= in.limit {
			return in.fail(TooLarge, "its Header is larger than 64 KiB: send fewer or smaller header blocks")
		}
		if len(in.buf) == cap(in.buf) {
			in.grow()
		}
		free := in.buf[len(in.buf):min(cap(in.buf), in.limit)]
		n, err := in.r.Read(free)
		in.ended = err
		if n > 0 {
			in.buf = in.buf[:len(in.buf)+n]
			return nil
		}
	}
	in.ended = io.ErrNoProgress
	return in.end()
}

func (in *input) grow() {
	larger := make([]byte, len(in.buf), min(max(firstRead, 2*cap(in.buf)), MaxHead+bodyRoom))
	copy(larger, in.buf)
	in.buf = larger
}

func (in *input) end() error {
	if errors.Is(in.ended, io.EOF) {
		return in.fail(Cut, "the body ends inside of the envelope: send all of it")
	}
	return fmt.Errorf("soap: reading the envelope: %w", in.ended)
}

func (in *input) fail(k Kind, message string) error {
	return &Error{Kind: k, At: int64(in.at), Message: message}
}

func (in *input) malformed(message string) error { return in.fail(Malformed, message) }

// peek returns the next byte and leaves it there.
func (in *input) peek() (byte, error) {
	if in.at == len(in.buf) {
		if err := in.more(); err != nil {
			return 0, err
		}
	}
	return in.buf[in.at], nil
}

// next takes the next byte.
func (in *input) next() (byte, error) {
	c, err := in.peek()
	if err == nil {
		in.at++
	}
	return c, err
}

// starts reports whether word comes next, and takes it then.
func (in *input) starts(word string) (bool, error) {
	for i := range len(word) {
		for in.at+i >= len(in.buf) {
			if err := in.more(); err != nil {
				return false, err
			}
		}
		if in.buf[in.at+i] != word[i] {
			return false, nil
		}
	}
	in.at += len(word)
	return true, nil
}

// spaces takes white space (XML 1.0, production 3) and reports whether there was any.
func (in *input) spaces() (bool, error) {
	from := in.at
	for {
		c, err := in.peek()
		if err != nil {
			return false, err
		}
		if classes[c] != space {
			return in.at > from, nil
		}
		in.at++
	}
}
