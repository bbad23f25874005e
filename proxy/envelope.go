package proxy

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/proxy/access"
	"github.com/sallyport/sallyport/proxy/soap"
	"github.com/sallyport/sallyport/tokens"
)

var (
	errSOAPMethod = &access.RefusalError{Code: access.BadRequest, Message: "SOAP is called by POST with an envelope"}
	errSOAPCoding = &access.RefusalError{Code: access.BadRequest,
		Message: "the envelope is compressed by something else than gzip: send it as it is"}
	errSOAPJWT = &access.RefusalError{Code: access.Code(tokens.CodeMisconfigured),
		Message: "Salesforce's SOAP APIs refuse the JWT access tokens that this app issues: use REST, or have the app " +
			"issue opaque tokens (isNamedUserJwtEnabled)"}
	// errUploadBroke says that the client's body ended early: there is nobody to answer.
	errUploadBroke = errors.New("the client's upload broke off")
)

// envelope is a SOAP request whose session is put in while it is sent.
type envelope struct {
	head   soap.Head
	zipped bool
	taken  int64 // Of the replay budget.
	length int64 // Of the body as it came, decoded; -1 if unknown.
}

// readEnvelope reads the head of the SOAP request in src and returns the rest, watched for what the client may not use.
// When there is no session to fill, the operation tells whether that is a fault: a login has none.
func (c *call) readEnvelope(src io.ReadCloser, length int64, zipped bool) (io.ReadCloser, error) {
	if c.r.Method != http.MethodPost {
		return nil, errSOAPMethod
	}
	if err := soap.CheckContentType(c.r.Header.Get("Content-Type")); err != nil {
		return nil, soapRefusal(err)
	}
	head, err := soap.Read(src)
	var wrong *soap.Error
	switch {
	case errors.As(err, &wrong) && wrong.Kind == soap.NoSession && isLogin(c.path, head.Operation.Local):
	case err != nil:
		return nil, soapRefusal(err)
	}
	if c.bind.policy.ScansOperation(head.Operation.Local) {
		c.scanned = c.bind.policy.ScanXML(&putBack{io.MultiReader(bytes.NewReader(head.Raw), src), src})
		if _, err := io.CopyN(io.Discard, c.scanned, int64(len(head.Raw))); err != nil {
			return nil, err
		}
		src = c.scanned
	}
	e := &envelope{head: head, zipped: zipped, length: length, taken: int64(len(head.Raw))}
	if !c.server.replay.take(e.taken) {
		return nil, &access.RefusalError{Code: access.Overloaded, Message: "as much of requests is kept as may be: try again, or raise SALLYPORT_MAX_REPLAY_MEMORY"}
	}
	c.envelope = e
	return src, nil
}

// soapRefusal makes err, of package soap or of the client's upload, an answer.
func soapRefusal(err error) error {
	var wrong *soap.Error
	var refusal *access.RefusalError
	switch {
	case errors.As(err, &wrong):
		return &access.RefusalError{Code: access.BadRequest, Message: wrong.Error()}
	case errors.As(err, &refusal):
		return refusal
	}
	return errors.Join(errUploadBroke, err)
}

// isLogin reports whether an operation of the API at path mints a session.
func isLogin(path, operation string) bool {
	return operation == "login" && (hasPrefixFold(path, "/services/Soap/u/") || hasPrefixFold(path, "/services/Soap/c/"))
}

// unzip returns what src holds, decoded as the request's Content-Encoding says.
func (c *call) unzip(src io.ReadCloser) (_ io.ReadCloser, zipped bool, err error) {
	coding := c.r.Header["Content-Encoding"]
	switch {
	case len(coding) == 0, len(coding) == 1 && strings.EqualFold(coding[0], "identity"):
		return src, false, nil
	case !isGzip(coding):
		return nil, false, errSOAPCoding
	}
	z, err := newUnzipper(src)
	return z, true, err
}

func isGzip(coding []string) bool {
	return len(coding) == 1 && (strings.EqualFold(coding[0], "gzip") || strings.EqualFold(coding[0], "x-gzip"))
}

// unzipper decodes gzip. What isn't gzip is refused; how the sending ended passes as it is.
type unzipper struct {
	io.Closer
	src io.Reader
	err error // Of src, but its end.
	z   *gzip.Reader
}

func newUnzipper(src io.ReadCloser) (*unzipper, error) {
	u := &unzipper{Closer: src, src: src}
	var err error
	if u.z, err = gzip.NewReader(watched{u}); err != nil {
		return nil, soapRefusal(u.reason(err))
	}
	u.z.Multistream(false) // What Salesforce makes of a second member is not known.
	return u, nil
}

// Read implements io.Reader.
func (u *unzipper) Read(b []byte) (int, error) {
	n, err := u.z.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = u.reason(err)
	}
	return n, err
}

func (u *unzipper) reason(err error) error {
	if u.err != nil {
		return u.err
	}
	return &access.RefusalError{Code: access.BadRequest, Message: "the envelope is said to be gzip and isn't: " + err.Error()}
}

// watched is the source of an unzipper.
type watched struct{ *unzipper }

// Read implements io.Reader.
func (w watched) Read(b []byte) (int, error) {
	n, err := w.src.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

// with returns rest, the body behind the head, as it is sent with session in its place, and its length.
func (e *envelope) with(session string, rest io.ReadCloser) (io.ReadCloser, int64) {
	r := io.MultiReader(bytes.NewReader(e.head.Fill(session)), e.head.Rest(rest))
	length := int64(-1)
	switch {
	case e.zipped:
		r = newZipper(r)
	case e.length >= 0:
		length = e.length + e.head.Delta(session)
	}
	return &closing{io.NopCloser(r), func() { _ = rest.Close() }}, length
}

// zipper gives src by gzip.
type zipper struct {
	src io.Reader
	out bytes.Buffer
	gz  *gzip.Writer
	buf []byte
	err error
}

func newZipper(src io.Reader) *zipper {
	z := &zipper{src: src, buf: make([]byte, 16<<10)}
	z.gz = gzip.NewWriter(&z.out)
	return z
}

// Read implements io.Reader.
func (z *zipper) Read(b []byte) (int, error) {
	for z.out.Len() == 0 {
		if z.err != nil {
			return 0, z.err
		}
		var n int
		n, z.err = z.src.Read(z.buf)
		_, _ = z.gz.Write(z.buf[:n]) // A Buffer takes all.
		if errors.Is(z.err, io.EOF) {
			_ = z.gz.Close()
		}
	}
	return z.out.Read(b)
}

// isJWT reports whether an access token is one (RFC 7519): opaque ones have an exclamation mark.
func isJWT(token secret.Text) bool {
	t := token.Reveal()
	return strings.Count(t, ".") == 2 && !strings.Contains(t, "!") && strings.HasPrefix(t, "ey")
}
