package soap

import "bytes"

// IsDead reports whether a SOAP answer's body is the fault that says that the session is dead: its code is
// INVALID_SESSION_ID in some namespace. The code counts where a fault has it (SOAP 1.1, section 4.4: faultcode;
// SOAP 1.2, section 5.4: Code/Value and Code/Subcode/Value), nowhere else, since an answer may quote what the request
// said. The body may be cut behind the code.
func IsDead(body []byte) bool {
	var s scanner // Large, and set in place.
	s.buf = body
	if s.prolog() != nil {
		return false
	}
	for {
		t, err := s.scan()
		if err != nil || t == end && s.depth == inEnvelope && string(s.stack[inEnvelope].name.local) == "Body" {
			return false
		}
		if t != start || s.empty || !s.isCode() {
			continue
		}
		from := s.at
		if t, err = s.scan(); err != nil || t != text {
			return false
		}
		code := bytes.TrimSpace(s.buf[from:s.at])
		if t, err = s.scan(); err != nil || t != end {
			return false
		}
		if string(code[bytes.IndexByte(code, ':')+1:]) == "INVALID_SESSION_ID" {
			return true
		}
	}
}

// isCode reports whether the element that is open has a fault's code.
func (s *scanner) isCode() bool {
	if s.depth < 4 {
		return false
	}
	for i, name := range [...]string{"Envelope", "Body", "Fault"} {
		if e := &s.stack[i]; string(e.name.local) != name || !isSOAP(e.space) {
			return false
		}
	}
	return s.path("faultcode") || s.path("Code", "Value") || s.path("Code", "Subcode", "Value")
}

// path reports whether these are the elements that are open in a fault.
func (s *scanner) path(names ...string) bool {
	if s.depth != 3+len(names) {
		return false
	}
	for i, name := range names {
		if string(s.stack[3+i].name.local) != name {
			return false
		}
	}
	return true
}
