package salesforce

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxAnswer is the most that is read of an answer, and kept of a body that came
// compressed. Salesforce's answers have a few kilobytes.
const maxAnswer = 1 << 20

var (
	errTooLarge = errors.New("the answer is larger than 1 MiB")
	errBadHost  = errors.New("the app's token host is no host name: nothing was sent")
)

// request formats a POST of form as HTTP/1.1. The connection serves no second
// one, and no encoding is asked for. It fails with errBadHost.
func request(app App, path string, form url.Values) ([]byte, error) {
	host := app.TokenHost
	if app.TokenPort != 443 {
		host = net.JoinHostPort(host, strconv.Itoa(int(app.TokenPort)))
	}
	body := form.Encode()
	r := http.Request{
		Method: http.MethodPost,
		URL:    &url.URL{Scheme: "https", Host: host, Path: path},
		Header: http.Header{
			"Content-Type": {"application/x-www-form-urlencoded"},
			"Accept":       {"application/json"},
			"User-Agent":   {"sallyport"},
		},
		Body:          io.NopCloser(strings.NewReader(body)),
		ContentLength: int64(len(body)),
		Close:         true,
	}
	var b bytes.Buffer
	if r.Write(&b) != nil { // memory takes everything, so that only the host can be wrong
		return nil, errBadHost
	}
	return b.Bytes(), nil
}

// roundTrip writes req in one Write and reads the answer, until deadline. guard
// is asked right before the write; the deadline already runs by then, so that a
// process that stops in between for longer doesn't write. sent reports whether
// a byte may have left, and answer is whatever came, even with an error.
func roundTrip(conn Conn, req []byte, deadline time.Time, guard func() error) (answer []byte, sent bool, err error) {
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, false, err
	}
	if err := guard(); err != nil {
		return nil, false, err
	}
	if _, err := conn.Write(req); err != nil {
		sent = conn.Wrote()
		if !sent {
			return nil, false, err
		}
		// A server may answer before it has read all of a request, and reset.
		answer, _ = readAnswer(conn)
		return answer, true, err
	}
	answer, err = readAnswer(conn)
	return answer, true, err
}

// readAnswer reads from r until the message is complete and returns every byte
// of it, interim responses included. It fails where the message was cut.
func readAnswer(r io.Reader) ([]byte, error) {
	t := &tap{r: r}
	err := skipMessage(bufio.NewReader(t))
	if err != nil && t.err == nil {
		// The framing isn't understood, so nobody knows where the answer ends:
		// whatever comes may hold the token.
		_, _ = io.Copy(io.Discard, t)
	}
	return t.got, err
}

func skipMessage(r *bufio.Reader) error {
	resp, err := finalResponse(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// finalResponse reads the head of the first response that isn't an interim one
// (RFC 9110, section 15.2).
func finalResponse(r *bufio.Reader) (*http.Response, error) {
	for {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, nil
		}
	}
}

// tap keeps what is read through it, up to [maxAnswer].
type tap struct {
	r   io.Reader
	got []byte
	err error // of r, or errTooLarge
}

// Read implements [io.Reader].
func (t *tap) Read(p []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	room := maxAnswer - len(t.got)
	if room == 0 {
		t.err = errTooLarge
		return 0, t.err
	}
	n, err := t.r.Read(p[:min(len(p), room)])
	t.got = append(t.got, p[:n]...)
	t.err = err
	return n, err
}
