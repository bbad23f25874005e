package soap

import "bytes"

// Limits of one document's head.
const (
	maxDepth      = 32
	maxAttributes = 32 // Of one element.
	maxBindings   = 64
)

// qname is a name as it is written. Here it is ASCII: which other letters a name may have differs between the editions
// of XML 1.0, and no name of SOAP or Salesforce has one.
type qname struct{ full, prefix, local []byte }

// attribute is one of the element whose start tag was read last.
type attribute struct {
	name  qname
	space []byte // Its namespace; nil for none.
	value []byte // As it is written.
}

// name takes a name (Namespaces in XML 1.0, production 7).
func (in *input) name() (qname, error) {
	from, colon := in.at, -1
	first := true
	for {
		if !first {
			in.skip(&inNames)
		}
		c, err := in.peek()
		if err != nil {
			return qname{}, err
		}
		k := classes[c]
		switch {
		case k == letter, k == digit && !first:
			first = false
		case c == ':' && !first && colon < 0:
			first, colon = true, in.at
		case k == wide || k == control:
			return qname{}, in.malformed("a name has a character that isn't ASCII, or none at all")
		case first:
			return qname{}, in.malformed("a name is missing, or begins with a character that no name begins with")
		case c == ':':
			return qname{}, in.malformed("a name has two colons")
		default:
			n := qname{full: in.buf[from:in.at]}
			if n.local = n.full; colon >= 0 {
				n.prefix, n.local = in.buf[from:colon], in.buf[colon+1:in.at]
			}
			return n, nil
		}
		in.at++
	}
}

// quoted takes an attribute's value in its quotes.
func (in *input) quoted() ([]byte, error) {
	quote, err := in.next()
	if err != nil {
		return nil, err
	}
	if quote != '"' && quote != '\'' {
		return nil, in.malformed("an attribute's value has no quotes")
	}
	from := in.at
	for {
		in.skip(&inValues)
		c, err := in.peek()
		if err != nil {
			return nil, err
		}
		switch {
		case c == quote:
			in.at++
			return in.buf[from : in.at-1], nil
		case c == '<':
			return nil, in.malformed("an attribute's value has a <: write &lt;")
		case c == '&':
			err = in.reference()
		default:
			err = in.character()
		}
		if err != nil {
			return nil, err
		}
	}
}

// equals takes the sign between a name and its value, and the white space around it.
func (in *input) equals() error {
	if _, err := in.spaces(); err != nil {
		return err
	}
	c, err := in.next()
	if err != nil {
		return err
	}
	if c != '=' {
		return in.malformed("an attribute has no value")
	}
	_, err = in.spaces()
	return err
}

// startTag takes a start tag behind its <, and opens the element.
func (s *scanner) startTag() error {
	name, err := s.name()
	if err != nil {
		return err
	}
	s.count, s.empty = 0, false
	for {
		spaced, err := s.spaces()
		if err != nil {
			return err
		}
		c, err := s.peek()
		if err != nil {
			return err
		}
		if c == '>' || c == '/' {
			s.tagEnd = s.at
			s.at++
			if c == '/' {
				s.empty = true
				if c, err = s.next(); err != nil {
					return err
				}
			}
			if c != '>' {
				return s.malformed("a slash stands inside of a tag")
			}
			return s.open(name)
		}
		if !spaced {
			return s.malformed("two attributes have no white space between them")
		}
		if err := s.attribute(); err != nil {
			return err
		}
	}
}

func (s *scanner) attribute() error {
	name, err := s.name()
	if err != nil {
		return err
	}
	if err := s.equals(); err != nil {
		return err
	}
	value, err := s.quoted()
	if err != nil {
		return err
	}
	for i := range s.count {
		if bytes.Equal(s.attributes[i].name.full, name.full) {
			return s.malformed("an element has the same attribute twice")
		}
	}
	if s.count == maxAttributes {
		return s.fail(TooComplex, "an element has too many attributes")
	}
	s.attributes[s.count] = attribute{name: name, value: value}
	s.count++
	return nil
}

// endTag takes an end tag behind its </, and closes the element.
func (s *scanner) endTag() error {
	name, err := s.name()
	if err != nil {
		return err
	}
	if _, err := s.spaces(); err != nil {
		return err
	}
	c, err := s.next()
	if err != nil {
		return err
	}
	if c != '>' || s.depth == 0 || !bytes.Equal(s.stack[s.depth-1].name.full, name.full) {
		return s.malformed("an end tag isn't that of the element that is open")
	}
	s.close()
	return nil
}
