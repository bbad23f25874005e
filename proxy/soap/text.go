package soap

// text takes characters up to the next tag, comment or section, and reports whether there was anything but white space.
func (in *input) text() (some bool, err error) {
	from := in.at
	for {
		if in.skip(&inTexts) {
			some = true
		}
		c, err := in.peek()
		if err != nil {
			return some, err
		}
		k := classes[c]
		if k == space {
			in.at++
			continue
		}
		if c == '<' {
			return some, nil
		}
		some = true
		switch {
		case c == '&':
			if err := in.reference(); err != nil {
				return some, err
			}
			from = in.at
		case c == '>' && in.at-from >= 2 && in.buf[in.at-1] == ']' && in.buf[in.at-2] == ']':
			return some, in.malformed("]]> stands outside of a CDATA section: write ]]&gt;")
		case k == control:
			return some, in.malformed("XML has no such character")
		case k == wide:
			if err := in.wide(); err != nil {
				return some, err
			}
		default:
			in.at++
		}
	}
}

// comment takes a comment behind its <!--.
func (in *input) comment() error {
	for {
		dashes, err := in.starts("--")
		if err != nil {
			return err
		}
		if dashes {
			c, err := in.next()
			if err != nil {
				return err
			}
			if c != '>' {
				return in.malformed("a comment has -- inside: leave the comment out")
			}
			return nil
		}
		if err := in.character(); err != nil {
			return err
		}
	}
}

// section takes a CDATA section behind its <![CDATA[.
func (in *input) section() error {
	for {
		if end, err := in.starts("]]>"); end || err != nil {
			return err
		}
		if err := in.character(); err != nil {
			return err
		}
	}
}

// character takes one character, whatever it means elsewhere.
func (in *input) character() error {
	c, err := in.peek()
	if err != nil {
		return err
	}
	switch classes[c] {
	case wide:
		return in.wide()
	case control:
		return in.malformed("XML has no such character")
	default:
		in.at++
		return nil
	}
}
