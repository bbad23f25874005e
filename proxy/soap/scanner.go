package soap

import "bytes"

// token is what a scanner found.
type token uint8

const (
	start   token = iota + 1 // A start tag, or an empty element's: scanner.empty tells, and then no end follows.
	end                      // An end tag.
	blank                    // White space.
	text                     // Characters, references, or a CDATA section.
	comment                  // A comment.
)

// element is one that is open.
type element struct {
	name  qname
	space []byte // Its namespace; empty for none.
	bound int    // How many bindings there were before it.
}

// scanner reads well-formed XML 1.0 in UTF-8, with namespaces, and without a document type and processing instructions.
// It is stricter than a parser has to be, so that no parser reads something else. It doesn't allocate.
type scanner struct {
	input
	stack [maxDepth]element
	depth int

	// Of the last start tag.
	attributes [maxAttributes]attribute
	count      int
	empty      bool
	tagEnd     int // Where its > or /> begins.

	bindings [maxBindings]binding
	bound    int
}

// scan takes the next token. An empty element is open until the next one.
func (s *scanner) scan() (token, error) {
	if s.empty {
		s.close()
	}
	c, err := s.peek()
	if err != nil {
		return 0, err
	}
	if c != '<' && s.depth == 0 {
		return blank, s.misc()
	}
	if c != '<' {
		some, err := s.text()
		if some {
			return text, err
		}
		return blank, err
	}
	s.at++
	switch c, err := s.peek(); {
	case err != nil:
		return 0, err
	case c == '/':
		s.at++
		return end, s.endTag()
	case c == '?':
		return 0, s.fail(Forbidden, "it has a processing instruction, or an XML declaration that isn't the very first: leave it out")
	case c == '!':
		s.at++
		return s.declaration()
	}
	return start, s.startTag()
}

// misc takes the white space around the root.
func (s *scanner) misc() error {
	spaced, err := s.spaces()
	if err == nil && !spaced {
		err = s.malformed("there is something else than XML around the envelope, or instead of it")
	}
	return err
}

// close closes the element on top of the stack.
func (s *scanner) close() {
	s.depth--
	s.bound = s.stack[s.depth].bound
	s.empty = false
}

// top is the innermost element that is open.
func (s *scanner) top() *element { return &s.stack[s.depth-1] }

// declaration takes what follows <!.
func (s *scanner) declaration() (token, error) {
	if ok, err := s.starts("--"); ok || err != nil {
		if err != nil {
			return 0, err
		}
		return comment, s.comment()
	}
	if ok, err := s.starts("[CDATA["); ok || err != nil {
		if err != nil {
			return 0, err
		}
		return text, s.section()
	}
	if ok, err := s.starts("DOCTYPE"); ok || err != nil {
		if err != nil {
			return 0, err
		}
		return 0, s.fail(Forbidden, "it has a document type: leave it out")
	}
	return 0, s.malformed("<! begins no comment and no CDATA section")
}

// prolog takes the byte order mark and the XML declaration, if they are there.
func (s *scanner) prolog() error {
	c, err := s.peek()
	if err != nil {
		return err
	}
	switch c {
	case 0xef:
		if ok, err := s.starts("\xef\xbb\xbf"); !ok || err != nil {
			if err != nil {
				return err
			}
			return s.malformed("it begins with something that isn't XML")
		}
	case 0xfe, 0xff, 0x00: // UTF-16 and UTF-32 with their marks or without (XML 1.0, appendix F).
		return s.fail(Encoding, "it isn't UTF-8: encode the body in UTF-8")
	}
	for _, begin := range [...]string{"<\x00", "\x4c\x6f\xa7\x94"} { // UTF-16 and UTF-32, EBCDIC.
		if ok, err := s.starts(begin); ok || err != nil {
			if err != nil {
				return err
			}
			return s.fail(Encoding, "it isn't UTF-8: encode the body in UTF-8")
		}
	}
	if ok, err := s.starts("<?xml"); !ok || err != nil {
		return err
	}
	return s.xmlDeclaration()
}

const notDeclared = "it begins with a processing instruction, or an XML declaration that can't be read: leave it out"

// xmlDeclaration takes the XML declaration behind its <?xml (XML 1.0, production 23).
func (s *scanner) xmlDeclaration() error {
	names := [...]string{"version", "encoding", "standalone"}
	for at := 0; ; {
		spaced, err := s.spaces()
		if err != nil {
			return err
		}
		if done, err := s.starts("?>"); done || err != nil {
			if err == nil && at == 0 {
				err = s.malformed("the XML declaration has no version")
			}
			return err
		}
		if !spaced {
			return s.fail(Forbidden, notDeclared)
		}
		name, err := s.name()
		if err != nil {
			return err
		}
		for at < len(names) && names[at] != string(name.full) && at > 0 {
			at++
		}
		if at == len(names) || names[at] != string(name.full) {
			return s.fail(Forbidden, notDeclared)
		}
		if err := s.equals(); err != nil {
			return err
		}
		value, err := s.quoted()
		if err != nil {
			return err
		}
		switch v := string(value); {
		case at == 0 && v != "1.0":
			return s.malformed("the XML declaration has another version than 1.0, which other rules hold for")
		case at == 1 && !bytes.EqualFold(value, []byte("UTF-8")):
			return s.fail(Encoding, "the XML declaration names another encoding: encode the body in UTF-8 and say so, or nothing")
		case at == 2 && v != "yes" && v != "no":
			return s.malformed("the XML declaration's standalone is neither yes nor no")
		}
		at++
	}
}
