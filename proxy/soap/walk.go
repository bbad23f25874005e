package soap

import (
	"bytes"
	"strings"
)

// Depths at which elements are open.
const (
	inEnvelope  = 1
	inPart      = 2 // Header or Body.
	inBlock     = 3 // A header block, or the operation.
	inSessionID = 4 // When walk.inSessions.
)

// walk finds the session and the operation.
type walk struct {
	scanner
	space      []byte // SOAP's namespace, of the Envelope.
	header     bool   // A Header was seen,
	body       bool   // the Body,
	sessions   bool   // a SessionHeader,
	filled     bool   // a sessionId.
	inSessions bool   // The header block that is open is the SessionHeader.
	session    Span
	emptyName  []byte // Of a sessionId that is an empty element.
}

// run reads up to the operation.
func (w *walk) run() error {
	if err := w.prolog(); err != nil {
		return err
	}
	for {
		from := w.at
		t, err := w.scan()
		if err != nil {
			return err
		}
		switch t {
		case start:
			if w.body && w.depth == inBlock {
				return w.include()
			}
			err = w.started()
		case end:
			err = w.ended(from)
		case text:
			err = w.characters()
		case blank, comment:
		}
		if err != nil {
			return err
		}
	}
}

// include refuses an element that another document, or another part of this one, would take the place of.
func (w *walk) include() error {
	if isXInclude(w.top().space) {
		return w.fail(Forbidden, "it includes another document: leave XInclude out")
	}
	return nil
}

// started judges an element that comes before the operation.
func (w *walk) started() error {
	if err := w.include(); err != nil {
		return err
	}
	for i := range w.count {
		a := &w.attributes[i]
		if isFold(a.name.local, "href") || isFold(a.name.local, "ref") {
			return w.fail(Forbidden, "an element refers to another one (href, ref): write out what is meant")
		}
	}
	switch w.depth {
	case inEnvelope:
		return w.envelope()
	case inPart:
		return w.part()
	}
	return w.block()
}

func (w *walk) envelope() error {
	e := w.top()
	if string(e.name.local) != "Envelope" || !isSOAP(e.space) || w.empty {
		return w.malformed("the document is no SOAP envelope: its root must be Envelope in the namespace of SOAP 1.1 or 1.2, with a Body")
	}
	w.space = e.space
	return nil
}

func (w *walk) part() error {
	e := w.top()
	ours := bytes.Equal(e.space, w.space)
	switch {
	case ours && string(e.name.local) == "Header" && !w.header:
		w.header = true
	case ours && string(e.name.local) == "Body" && !w.empty:
		w.body = true
		w.limit += bodyRoom
	default:
		return w.malformed("an Envelope holds at most one Header and then one Body with an operation, of its own namespace, and nothing else")
	}
	return nil
}

// block judges an element of the Header.
func (w *walk) block() error {
	local := w.top().name.local
	isHeader, isID := isFold(local, "SessionHeader"), isFold(local, "sessionId")
	switch {
	case w.inSessions && w.depth > inSessionID:
		return w.fail(BadSession, "sessionId holds an element: it must hold text alone")
	case isHeader && w.depth == inBlock && !w.sessions && string(local) == "SessionHeader":
		w.sessions, w.inSessions = true, !w.empty
		return w.plain("SessionHeader")
	case isID && w.inSessions && w.depth == inSessionID && !w.filled && string(local) == "sessionId":
		w.filled = true
		w.session = Span{Start: w.at, End: w.at}
		if w.empty {
			w.session.Start, w.emptyName = w.tagEnd, w.top().name.full
		}
		return w.plain("string")
	case isHeader, isID:
		return w.fail(ManySessions, "the Header has another SessionHeader or sessionId, or one in the wrong place or case: send one sessionId in one SessionHeader")
	case w.inSessions:
		return w.fail(BadSession, "SessionHeader holds another element than sessionId: leave it out")
	}
	return nil
}

// plain refuses what could make another reader take the SessionHeader or the sessionId for something else. Only
// namespaces, the type that it has anyway, and for the SessionHeader what SOAP says of every header block may be there.
func (w *walk) plain(typ string) error {
	for i := range w.count {
		a := &w.attributes[i]
		switch local := string(a.name.local); {
		case declares(a.name):
			continue
		case isInstance(a.space) && local == "type" && w.names(a.value, typ):
			continue
		case typ != "string" && bytes.Equal(a.space, w.space) &&
			(local == "mustUnderstand" || local == "actor" || local == "role" || local == "relay"):
			continue
		}
		return w.fail(BadSession, "SessionHeader or sessionId has an attribute (such as xsi:nil, id, encodingStyle, or another xsi:type) that could change what it means: leave it out")
	}
	return nil
}

// names reports whether value is a qualified name with that local part, whose prefix is bound.
func (w *walk) names(value []byte, local string) bool {
	prefix, name, found := bytes.Cut(value, []byte(":"))
	if !found {
		prefix, name = nil, value
	}
	if string(name) != local {
		return false
	}
	_, known := w.lookup(prefix)
	return known
}

// ended judges the end tag at from.
func (w *walk) ended(from int) error {
	switch {
	case w.depth == 0 || w.depth == inEnvelope && w.body:
		return w.malformed("the Envelope has no Body with an operation")
	case w.depth == inPart:
		w.inSessions = false
	case w.depth == inBlock && w.inSessions:
		w.session.End = from
	}
	return nil
}

// characters judges text by where it stands.
func (w *walk) characters() error {
	switch {
	case w.depth < inBlock:
		return w.malformed("there is text outside of the header blocks and of the operation")
	case w.depth == inBlock && w.inSessions:
		return w.fail(BadSession, "SessionHeader holds text outside of its sessionId")
	}
	return nil
}

// isFold reports whether b is word in any case.
func isFold(b []byte, word string) bool {
	return len(b) == len(word) && strings.EqualFold(string(b), word)
}
