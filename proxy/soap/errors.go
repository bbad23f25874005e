package soap

import "fmt"

// Kind says what is wrong with a request.
type Kind uint8

const (
	// Malformed is no well-formed XML, or no SOAP envelope of a Header and a Body with one operation.
	Malformed Kind = iota + 1
	// Forbidden is a document type, a processing instruction, XInclude, or a reference to another element.
	Forbidden
	// Encoding is one that is declared to be, or seen to be, something else than UTF-8.
	Encoding
	// NoSession is an envelope without Envelope/Header/SessionHeader/sessionId. Its operation is known, since a login has no session.
	NoSession
	// ManySessions is another SessionHeader or sessionId, or one in another place of the Header.
	ManySessions
	// BadSession is a SessionHeader or a sessionId with attributes, elements or text that it must not have.
	BadSession
	// TooLarge says that the operation's start tag doesn't come within [MaxHead] and some.
	TooLarge
	// Cut says that the body ended before its envelope did.
	Cut
	// TooComplex is too many levels, attributes or namespaces.
	TooComplex
)

// Error is why a request was refused. Its text is for the developer of the client and holds nothing of the body.
// Sending the same request again doesn't help.
type Error struct {
	Kind Kind
	// At is the byte of the body at which it was found, counted from 0; -1 if it is no matter of the body.
	At int64
	// Message says what is wrong and what to do.
	Message string
}

// Error implements error.
func (e *Error) Error() string {
	if e.At < 0 {
		return "the SOAP request can't be given a session: " + e.Message
	}
	return fmt.Sprintf("the SOAP request can't be given a session, see its byte %d: %s", e.At, e.Message)
}
