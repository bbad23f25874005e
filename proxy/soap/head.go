package soap

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"
)

// MaxHead is how much of a body may come before its Body element, in bytes. The Body's and the operation's start tags
// have 4 KiB more.
const MaxHead = 64 << 10

// Head is what was read of an envelope up to the first element of its Body. Its methods don't change it, so they may be
// called at the same time.
type Head struct {
	// Raw is every byte read so far, as it came: the head, and what came with it. It must not be changed.
	Raw []byte
	// Session is what another session takes the place of.
	Session Span
	// Operation is the first element in the Body.
	Operation xml.Name

	endTag string // </sessionId> as the request would write it, if its sessionId is an empty element.
	tail   tail   // Has judged what follows the operation's start tag in Raw.
}

// Span is a part of [Head.Raw]: the content between the tags of sessionId, or the /> of one that is an empty element.
type Span struct{ Start, End int }

// Read reads r until the start tag of the operation is known, and what comes with it. The error is an [*Error], or wraps
// what r failed with. Of an Error with [NoSession] the head has its Raw and Operation, since a login has no session; of
// any other error its Raw alone.
func Read(r io.Reader) (Head, error) {
	var w walk // Large, and set in place.
	w.r, w.limit = r, MaxHead
	err := w.run()
	h := Head{Raw: w.buf}
	if err != nil {
		return h, err
	}
	name := w.top()
	h.Operation = xml.Name{Space: string(name.space), Local: string(name.name.local)}
	if !w.filled {
		return h, w.fail(NoSession, "its Header has no SessionHeader with a sessionId: send one with any text, the session is put into it")
	}
	h.Session = w.session
	if w.emptyName != nil {
		h.endTag = "</" + string(w.emptyName) + ">"
	}
	if err := h.tail.begin(&w.scanner); err != nil {
		return Head{Raw: w.buf}, err
	}
	return h, nil
}

// Text returns what stands in sessionId, if it is plain text.
func (h Head) Text() (string, bool) {
	was := h.Raw[h.Session.Start:h.Session.End]
	return string(was), len(was) > 0 && !bytes.ContainsAny(was, "<&") && !bytes.HasPrefix(was, []byte("/>"))
}

// Fill returns a copy of [Head.Raw] with session, escaped, as the whole content of sessionId, and all else as it came.
// What is no character of XML comes out as U+FFFD. A Head without a session comes back unchanged.
func (h Head) Fill(session string) []byte {
	if h.Session.End == 0 {
		return bytes.Clone(h.Raw)
	}
	session = escape(session)
	out := make([]byte, 0, len(h.Raw)+h.grows(len(session)))
	out = append(out, h.Raw[:h.Session.Start]...)
	if h.endTag != "" {
		out = append(out, '>')
	}
	out = append(out, session...)
	out = append(out, h.endTag...)
	return append(out, h.Raw[h.Session.End:]...)
}

// Delta is by how many bytes [Head.Fill] makes a body longer, or shorter if it is negative.
func (h Head) Delta(session string) int64 {
	if h.Session.End == 0 {
		return 0
	}
	return int64(h.grows(len(escape(session))))
}

func (h Head) grows(session int) int {
	n := session + len(h.endTag) - (h.Session.End - h.Session.Start)
	if h.endTag != "" {
		n++
	}
	return n
}

// escape escapes what a token hardly ever has.
func escape(s string) string {
	for i := range len(s) {
		if classes[s[i]] == plain && s[i] != '"' && s[i] != '\'' || classes[s[i]] == letter || classes[s[i]] == digit {
			continue
		}
		var b strings.Builder
		if xml.EscapeText(&b, []byte(s)) != nil { // A Builder doesn't fail.
			return ""
		}
		return b.String()
	}
	return s
}
