package admin

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
)

// maxAnswer is the largest answer that is read.
const maxAnswer = 32 << 20

// Client calls the admin API. It is made by [NewClient] and safe for concurrent use. Its methods fail with a [ProblemError]
// that the server answered, an [UnreachableError], or an [InsecureError]; an ended ctx shows as an UnreachableError
// that wraps it.
type Client struct {
	where  string // as the user gave it
	base   string
	token  secret.Text
	secure bool // nobody on the way can read
	http   *http.Client
}

// UnreachableError says that the server gave no answer. Whether a change was made is not known.
type UnreachableError struct {
	URL string
	Err error
}

// Error implements error.
func (e *UnreachableError) Error() string {
	return fmt.Sprintf("no answer from %s: %v; is sallyport serve running there? SALLYPORT_ADMIN_URL says where it is", e.URL, e.Err)
}

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// InsecureError says that a secret would have crossed a network in clear. Nothing was sent.
type InsecureError struct{ URL string }

// Error implements error.
func (e *InsecureError) Error() string {
	return fmt.Sprintf("%s is neither loopback nor https: a secret isn't sent there; use an https:// URL", e.URL)
}

// ClientOptions is what a [Client] is made of.
type ClientOptions struct {
	URL   string      // unix:PATH, http://HOST:PORT or https://HOST:PORT
	Token secret.Text // the admin token; empty for the admin socket
	TLS   *tls.Config // for https; nil: the system's roots
}

// NewClient checks o and returns a client. It reads no proxy variables: the admin API is never called through a proxy.
func NewClient(o ClientOptions) (*Client, error) {
	where := o.URL
	c := &Client{where: where, token: o.Token}
	dialer := net.Dialer{Timeout: 10 * time.Second}
	transport := &http.Transport{DialContext: dialer.DialContext, TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: maxHead,
		TLSClientConfig: o.TLS, IdleConnTimeout: time.Second}
	if path, isSocket := strings.CutPrefix(where, "unix:"); isSocket {
		if !filepath.IsAbs(path) {
			return nil, fmt.Errorf("%q: the path of the admin socket must be absolute", where)
		}
		c.base, c.secure = "http://localhost", true
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.DialContext(ctx, "unix", path) }
	} else {
		u, err := url.Parse(where)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			return nil, errors.New("the admin URL must be unix:PATH, http://HOST:PORT or https://HOST:PORT")
		}
		c.base, c.secure = u.Scheme+"://"+u.Host, u.Scheme == "https" || loopback(u.Hostname())
	}
	c.http = &http.Client{Transport: transport, Timeout: writeTimeout,
		// A redirect would carry the token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c, nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// call sends in, if it isn't nil, as JSON and reads the answer into out, if it isn't nil. secretive says that body or
// answer hold a secret.
func (c *Client) call(ctx context.Context, method, path string, in, out any, secretive bool) (status int, err error) {
	var body []byte
	if in != nil {
		if body, err = json.Marshal(in); err != nil {
			return 0, err
		}
	}
	status, answer, err := c.send(ctx, method, path, body, secretive)
	if err != nil || out == nil {
		return status, err
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return status, fmt.Errorf("%s answered what isn't the admin API's JSON: is it another service, or another version?", c.where)
	}
	return status, nil
}

func (c *Client) send(ctx context.Context, method, path string, body []byte, secretive bool) (int, []byte, error) {
	if !c.secure && (secretive || !c.token.IsZero()) {
		return 0, nil, &InsecureError{c.where}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	if !c.token.IsZero() {
		req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the made-up URL of a socket
		}
		return 0, nil, &UnreachableError{c.where, err}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return 0, nil, &UnreachableError{c.where, err}
	}
	if resp.StatusCode >= 300 {
		return resp.StatusCode, nil, refusal(resp, answer)
	}
	return resp.StatusCode, answer, nil
}

// refusal reads a problem. What isn't one is told by its status alone.
func refusal(resp *http.Response, answer []byte) error {
	p := new(ProblemError)
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") && json.Unmarshal(answer, p) == nil && p.Detail != "" {
		return p
	}
	return &ProblemError{Status: resp.StatusCode, Code: codeInternal, Detail: "the admin URL answered " + resp.Status + ", not as the admin API does",
		Hint: "is it another service?"}
}
