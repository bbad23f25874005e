package soap

import "bytes"

// tag takes the one byte c of a tag, outside of names and values.
func (t *tail) tag(c byte, i int) error {
	blank := classes[c] == space
	switch t.state {
	case opened:
		return t.opening(c, i)
	case inWord:
		return t.wordOf(c, i)
	case inName:
		switch {
		case blank:
			t.state = inTag
			return nil
		case c == '>' || c == '/':
			return t.leave(c)
		}
	case inTag:
		switch {
		case blank:
			return nil
		case c == '>' || c == '/':
			return t.leave(c)
		case begins(c):
			t.state = inAttr
			return nil
		}
	case inAttr, behindAttr:
		switch {
		case blank:
			t.state = behindAttr
			return nil
		case c == '=':
			t.state = behindSign
			return nil
		}
	case behindSign:
		switch {
		case blank:
			return nil
		case c == '"' || c == '\'':
			t.state, t.quote = inValue, c
			return nil
		}
	case behindVal:
		switch {
		case blank:
			t.state = inTag
			return nil
		case c == '>' || c == '/':
			return t.leave(c)
		}
	case behindSlash:
		if c == '>' {
			t.names, t.state = t.names[:t.from], inText
			return nil
		}
	case inEnd, behindEnd:
		switch {
		case blank && len(t.names) > t.from:
			t.state = behindEnd
			return nil
		case c == '>':
			return t.close(i)
		}
	default:
	}
	return t.fail(Malformed, i, "a tag isn't well-formed")
}

// opening takes what follows a <.
func (t *tail) opening(c byte, i int) error {
	t.from = len(t.names)
	switch {
	case begins(c):
		t.names = append(t.names, c)
		t.state = inName
		switch len(t.marks) {
		case 0:
			return t.fail(Malformed, i, "another document follows the Envelope")
		case inEnvelope:
			return t.fail(Malformed, i, "another element follows the Body: a Header comes before it, and nothing after it")
		case inPart:
			return t.fail(Malformed, i, "the Body holds more than one operation: send one request for each")
		case maxTailDepth:
			return t.fail(TooComplex, i, "elements are nested too deep")
		}
	case c == '/':
		t.state = inEnd
	case c == '!':
		t.state, t.word, t.run = inWord, "", 0
	case c == '?':
		return t.fail(Forbidden, i, "it has a processing instruction: leave it out")
	default:
		return t.fail(Malformed, i, "a < begins no tag: write &lt;")
	}
	return nil
}

// wordOf takes what follows <!.
func (t *tail) wordOf(c byte, i int) error {
	if t.word == "" {
		switch {
		case c == '-':
			t.word = commentWord
		case c == '[' && len(t.marks) >= inBlock:
			t.word = sectionWord
		default:
			return t.fail(Forbidden, i, "it has a document type, or a CDATA section behind the operation: leave it out")
		}
	}
	if c != t.word[t.run] {
		return t.fail(Malformed, i, "<! begins no comment and no CDATA section")
	}
	if t.run++; t.run == len(t.word) {
		t.run = 0
		if t.state = inSection; t.word == commentWord {
			t.state = inComment
		}
	}
	return nil
}

// leave takes the > or the / behind a start tag's name and attributes.
func (t *tail) leave(c byte) error {
	if c == '/' {
		t.state = behindSlash
		return nil
	}
	t.marks, t.state = append(t.marks, t.from), inText
	return nil
}

// close takes the > of an end tag.
func (t *tail) close(i int) error {
	top := len(t.marks) - 1
	if top < 0 || !bytes.Equal(t.names[t.marks[top]:t.from], t.names[t.from:]) {
		return t.fail(Malformed, i, "an end tag isn't that of the element that is open")
	}
	t.names, t.marks, t.state = t.names[:t.marks[top]], t.marks[:top], inText
	return nil
}
