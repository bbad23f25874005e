package soap

import "unicode/utf8"

// class is what a byte is in text, and in names.
type class uint8

const (
	plain   class = iota // Printable ASCII without a meaning of its own, and DEL.
	letter               // May begin a name.
	digit                // May follow in one.
	space                // XML 1.0, production 3.
	special              // < & > ]
	wide                 // Begins or continues what isn't ASCII.
	control              // No character of any document.
)

var classes = makeClasses()

func makeClasses() (t [256]class) {
	for i := range t {
		switch c := byte(i); {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			t[i] = space
		case c < ' ':
			t[i] = control
		case c >= utf8.RuneSelf:
			t[i] = wide
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_':
			t[i] = letter
		case '0' <= c && c <= '9', c == '-', c == '.':
			t[i] = digit
		case c == '<' || c == '&' || c == '>' || c == ']':
			t[i] = special
		}
	}
	return t
}

// Bytes that mean nothing by themselves in a name, in a value in whichever quotes, and in text.
var (
	inNames  = makeRun(func(c byte, k class) bool { return k == letter || k == digit })
	inValues = makeRun(func(c byte, k class) bool {
		return k == letter || k == digit || k == plain && c != '"' && c != '\''
	})
	inTexts = makeRun(func(c byte, k class) bool { return k == letter || k == digit || k == plain })
)

func makeRun(is func(byte, class) bool) (t [256]bool) {
	for i := range t {
		t[i] = is(byte(i), classes[i])
	}
	return t
}

// skip takes the bytes of a set that come next, as far as they were read, and reports whether there were any.
func (in *input) skip(set *[256]bool) bool {
	rest := in.buf[in.at:]
	n := 0
	for n < len(rest) && set[rest[n]] {
		n++
	}
	in.at += n
	return n > 0
}

// isChar reports whether r is a character (XML 1.0, production 2).
func isChar(r rune) bool {
	return r >= ' ' && r <= 0xd7ff || r >= 0xe000 && r <= 0xfffd || r >= 0x10000 && r <= utf8.MaxRune ||
		r == '\t' || r == '\n' || r == '\r'
}

// wide takes the character that begins with the next byte, which isn't ASCII.
func (in *input) wide() error {
	for !utf8.FullRune(in.buf[in.at:]) {
		if err := in.more(); err != nil {
			return err
		}
	}
	r, n := utf8.DecodeRune(in.buf[in.at:])
	if r == utf8.RuneError && n == 1 {
		return in.fail(Encoding, "these bytes are no UTF-8: encode the body in UTF-8")
	}
	if !isChar(r) {
		return in.malformed("XML has no such character")
	}
	in.at += n
	return nil
}

// reference takes what follows an ampersand. Without a document type there are character references and five names
// (XML 1.0, section 4.6).
func (in *input) reference() error {
	in.at++
	const most = len("#x0010ffff;")
	from := in.at
	for {
		c, err := in.next()
		if err != nil {
			return err
		}
		if c == ';' {
			break
		}
		if in.at-from > most {
			return in.malformed("an ampersand begins no reference that XML knows: write &amp;")
		}
	}
	switch name := in.buf[from : in.at-1]; string(name) {
	case "lt", "gt", "amp", "quot", "apos":
		return nil
	default:
		if len(name) > 1 && name[0] == '#' && isChar(number(name[1:])) {
			return nil
		}
	}
	return in.malformed("a reference is none of XML's five and no character's number: write the character itself")
}

// number reads the digits of a character reference; 0, which is no character, if they are none.
func number(digits []byte) rune {
	base := rune(10)
	if digits[0] == 'x' {
		base, digits = 16, digits[1:]
	}
	n := rune(0)
	for _, c := range digits {
		d := rune(99)
		switch {
		case '0' <= c && c <= '9':
			d = rune(c - '0')
		case 'a' <= c && c <= 'f':
			d = rune(c-'a') + 10
		case 'A' <= c && c <= 'F':
			d = rune(c-'A') + 10
		}
		if d >= base || n > utf8.MaxRune {
			return 0
		}
		n = n*base + d
	}
	return n
}
