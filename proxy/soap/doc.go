// Package soap finds where a SOAP 1.1 or 1.2 request of Salesforce's APIs carries its session,
// Envelope/Header/SessionHeader/sessionId, without reading more of the body than it must, so that another session can
// be put in its place while the body streams. Everything else stays as it came, byte for byte.
//
// A request is judged by two readers: this one, and Salesforce's. Wherever two XML parsers could read different things
// (entities, encodings, processing instructions, references between elements, a second session, names that aren't ASCII,
// bytes that aren't well-formed), the request is refused: what remains is read alike by all of them.
//
// [Read] takes the head of an envelope, [Head.Fill] gives it back with a session, [Head.Rest] streams and watches what
// follows, and [CheckContentType] must hold for the request's header. [IsDead] judges an answer.
package soap
