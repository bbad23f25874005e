package soap

import "bytes"

// Namespaces that mean something here.
const (
	spaceSOAP11  = "http://schemas.xmlsoap.org/soap/envelope/"
	spaceSOAP12  = "http://www.w3.org/2003/05/soap-envelope"
	spaceXML     = "http://www.w3.org/XML/1998/namespace"
	spaceXMLNS   = "http://www.w3.org/2000/xmlns/"
	xincludeRoot = "http://www.w3.org/200" // 1/XInclude, and 3/XInclude of a draft.
	xincludeEnd  = "/XInclude"
)

var xmlSpace = []byte(spaceXML)

// binding is a prefix and its namespace; no prefix is the default namespace.
type binding struct{ prefix, space []byte }

// open resolves the names of the start tag that was just read, and puts its element onto the stack.
func (s *scanner) open(name qname) error {
	if s.depth == maxDepth {
		return s.fail(TooComplex, "elements are nested too deep")
	}
	e := &s.stack[s.depth]
	*e = element{name: name, bound: s.bound}
	for i := range s.count {
		if err := s.declare(&s.attributes[i]); err != nil {
			return err
		}
	}
	if string(name.prefix) == "xml" || string(name.prefix) == "xmlns" {
		return s.malformed("an element's prefix is one that XML keeps for itself")
	}
	var known bool
	if e.space, known = s.lookup(name.prefix); !known {
		return s.malformed("an element's prefix is bound to no namespace")
	}
	for i := range s.count {
		a := &s.attributes[i]
		if len(a.name.prefix) == 0 || declares(a.name) {
			continue
		}
		if a.space, known = s.lookup(a.name.prefix); !known {
			return s.malformed("an attribute's prefix is bound to no namespace")
		}
		for j := range i {
			b := &s.attributes[j]
			if b.space != nil && bytes.Equal(a.name.local, b.name.local) && bytes.Equal(a.space, b.space) {
				return s.malformed("an element has the same attribute twice, with two prefixes")
			}
		}
	}
	s.depth++
	return nil
}

// declares reports whether an attribute declares a namespace.
func declares(name qname) bool {
	return string(name.prefix) == "xmlns" || string(name.full) == "xmlns"
}

// declare binds the namespace that a declares, if it does (Namespaces in XML 1.0, section 3). A namespace that isn't
// written as it is read, with references or white space, is refused: names are compared by it.
func (s *scanner) declare(a *attribute) error {
	if !declares(a.name) {
		return nil
	}
	for _, c := range a.value {
		if c == '&' || classes[c] == space || classes[c] == wide {
			return s.malformed("a namespace has a reference, white space or a letter that isn't ASCII: write it plainly")
		}
	}
	var prefix []byte
	if len(a.name.prefix) > 0 {
		prefix = a.name.local
		if len(a.value) == 0 {
			return s.malformed("a prefix is bound to an empty namespace")
		}
	}
	isXML := string(a.value) == spaceXML
	if isXML && string(prefix) == "xml" {
		return nil
	}
	if isXML || string(a.value) == spaceXMLNS || string(prefix) == "xml" || string(prefix) == "xmlns" {
		return s.malformed("a prefix or a namespace that XML keeps for itself is bound anew")
	}
	if s.bound == maxBindings {
		return s.fail(TooComplex, "too many namespaces are declared")
	}
	s.bindings[s.bound] = binding{prefix: prefix, space: a.value}
	s.bound++
	return nil
}

// lookup returns the namespace of a prefix. No default namespace is none, and known.
func (s *scanner) lookup(prefix []byte) (ns []byte, known bool) {
	for i := s.bound - 1; i >= 0; i-- {
		if bytes.Equal(s.bindings[i].prefix, prefix) {
			return s.bindings[i].space, true
		}
	}
	if string(prefix) == "xml" {
		return xmlSpace, true
	}
	return nil, len(prefix) == 0
}

func isSOAP(ns []byte) bool { return string(ns) == spaceSOAP11 || string(ns) == spaceSOAP12 }

func isXInclude(ns []byte) bool {
	return bytes.HasPrefix(ns, []byte(xincludeRoot)) && bytes.HasSuffix(ns, []byte(xincludeEnd))
}

// isInstance reports whether ns is one of XML Schema's for instances.
func isInstance(ns []byte) bool {
	switch string(ns) {
	case "http://www.w3.org/2001/XMLSchema-instance", "http://www.w3.org/2000/10/XMLSchema-instance",
		"http://www.w3.org/1999/XMLSchema-instance":
		return true
	}
	return false
}
