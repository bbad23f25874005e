package soap

import (
	"mime"
	"strings"
)

// CheckContentType returns an [*Error] unless a request's Content-Type says that its body is one XML document in UTF-8.
// Salesforce may believe the header, so that the same bytes in another charset are another document, and one with
// attachments has its envelope elsewhere. No charset is taken for UTF-8.
func CheckContentType(contentType string) error {
	switch strings.ToLower(contentType) { // What nearly every client sends.
	case "text/xml", "text/xml; charset=utf-8", "text/xml;charset=utf-8":
		return nil
	}
	typ, parameters, err := mime.ParseMediaType(contentType)
	if err != nil || typ != "text/xml" && typ != "application/soap+xml" && typ != "application/xml" {
		return &Error{Kind: Malformed, At: -1,
			Message: "its Content-Type is none of text/xml, application/soap+xml and application/xml: send the envelope alone, as one of these"}
	}
	if charset, ok := parameters["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return &Error{Kind: Encoding, At: -1,
			Message: "its Content-Type names another charset: encode the body in UTF-8 and say charset=utf-8"}
	}
	return nil
}
