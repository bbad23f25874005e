package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

// How long each step of the way may take. A request may wait for a token.
const (
	reachTimeout   = 10 * time.Second
	requestTimeout = 40 * time.Second
)

// maxAnswer is how much of an answer is read, in bytes.
const maxAnswer = 256 << 10

// way is the way of one call: to the proxy, through it to the host.
type way struct {
	proxy      *url.URL
	host, port string
	now        func() time.Time
	roots      *x509.CertPool // all that any runtime here trusts
}

// tunnel opens a tunnel by CONNECT (RFC 9110, section 9.3.6) and says how far it came. There is no connection when
// something is wrong.
func (w way) tunnel(ctx context.Context) (net.Conn, []admin.Finding) {
	var all []admin.Finding
	tell := func(result, what, hint string) {
		all = append(all, admin.Finding{Check: "proxy", Result: result, What: what, Hint: hint})
	}
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	d := net.Dialer{}
	conn, err := d.DialContext(ctx, "tcp", w.proxy.Host)
	if err != nil {
		tell(admin.ResultWrong, masked(w.proxy)+" can't be reached: "+reason(err), "is sallyport serve running there, and does SALLYPORT_LISTEN have this address?")
		return nil, all
	}
	if w.proxy.Scheme == "https" {
		secured := tls.Client(conn, &tls.Config{ServerName: w.proxy.Hostname(), RootCAs: w.roots, MinVersion: tls.VersionTLS12, Time: w.now, NextProtos: []string{"http/1.1"}})
		if err := secured.HandshakeContext(ctx); err != nil {
			conn.Close()
			tell(admin.ResultWrong, masked(w.proxy)+" is reached, and TLS to it failed: "+untrusted(err), "its certificate (SALLYPORT_TLS_CERT) must be trusted by clients too, and be for "+w.proxy.Hostname())
			return nil, all
		}
		conn = secured
	}
	tell(admin.ResultOK, masked(w.proxy)+" is reached", "")
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // a connection that is gone fails at the next read
	}
	answer, err := w.connect(conn)
	if err != nil {
		conn.Close()
		tell(admin.ResultWrong, "it gave no answer to CONNECT: "+reason(err), "is it an HTTP proxy? A TLS listener needs https:// in the URL")
		return nil, all
	}
	f := w.judgeConnect(answer)
	if all = append(all, f); f.Bad() {
		conn.Close()
		return nil, all
	}
	_ = conn.SetDeadline(time.Time{}) // as above
	return conn, all
}

func (w way) connect(conn net.Conn) (*http.Response, error) {
	target := net.JoinHostPort(w.host, w.port)
	head := "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\nUser-Agent: sallyport-doctor\r\n"
	if u := w.proxy.User; u != nil {
		password, _ := u.Password()
		head += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)) + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		return nil, err
	}
	// The host says nothing before the handshake, so no byte of it is lost in the reader.
	return http.ReadResponse(bufio.NewReader(io.LimitReader(conn, maxAnswer)), &http.Request{Method: http.MethodConnect})
}

func (w way) judgeConnect(answer *http.Response) admin.Finding {
	f := admin.Finding{Check: "proxy", Result: admin.ResultOK, What: "it opens a tunnel to " + w.host}
	if answer.StatusCode == http.StatusOK {
		return f
	}
	defer answer.Body.Close()
	f.Result = admin.ResultWrong
	code := answer.Header.Get("Sallyport-Error")
	switch {
	case code != "":
		f.What = fmt.Sprintf("it refuses the tunnel to %s: %d %s", w.host, answer.StatusCode, plain(code))
		f.Hint = mend(code)
	case answer.StatusCode == http.StatusProxyAuthRequired:
		f.What, f.Hint = "it asks for a password (407), and isn't sallyport", "HTTPS_PROXY names another proxy"
	default:
		f.What, f.Hint = fmt.Sprintf("it answers CONNECT with %d, and isn't sallyport", answer.StatusCode), "HTTPS_PROXY names another proxy"
	}
	return f
}

// handshake speaks TLS to the host inside the tunnel. The chain is there also when nothing here trusts it; then there is
// no connection, and nothing was sent.
func (w way) handshake(ctx context.Context, conn net.Conn) (*tls.Conn, []*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	inner := tls.Client(conn, &tls.Config{ServerName: w.host, RootCAs: w.roots, MinVersion: tls.VersionTLS12, Time: w.now, NextProtos: []string{"http/1.1"}})
	err := inner.HandshakeContext(ctx)
	if err == nil {
		return inner, inner.ConnectionState().PeerCertificates, nil
	}
	var refused *tls.CertificateVerificationError
	if errors.As(err, &refused) {
		return nil, refused.UnverifiedCertificates, err
	}
	return nil, nil, err
}

// request asks for the list of API versions, as the cheapest call there is, and says who answered.
func (w way) request(ctx context.Context, conn net.Conn) admin.Finding {
	f := admin.Finding{Check: "request"}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	where := &url.URL{Scheme: "https", Host: w.host, Path: "/services/data/"}
	if w.port != "443" {
		where.Host = net.JoinHostPort(w.host, w.port)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, where.String(), nil)
	if err == nil {
		r.Header.Set("User-Agent", "sallyport-doctor")
		r.Header.Set("Accept", "application/json")
		err = r.Write(conn)
	}
	var answer *http.Response
	if err == nil {
		answer, err = http.ReadResponse(bufio.NewReader(io.LimitReader(conn, maxAnswer)), r)
	}
	if err != nil {
		f.Result, f.What, f.Hint = admin.ResultWrong, "GET /services/data/ got no answer: "+reason(err), "the log of sallyport serve says more"
		return f
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		f.Result, f.What, f.Hint = admin.ResultWrong, "the answer to GET /services/data/ broke off: "+reason(err), "the log of sallyport serve says more"
		return f
	}
	f.Result, f.What, f.Hint = judgeAnswer(answer.StatusCode, answer.Header.Get("Sallyport-Error"), body, w.host, w.proxy.User.Username())
	return f
}

// judgeAnswer says who answered GET /services/data/, and what.
func judgeAnswer(status int, code string, body []byte, host, user string) (result, what, hint string) {
	var versions []struct {
		Version string `json:"version"`
	}
	var faults []struct {
		Message string `json:"message"`
	}
	_, org, chosen := strings.Cut(user, "+")
	switch {
	case code != "":
		what = fmt.Sprintf("sallyport answered %d %s", status, plain(code))
		if json.Unmarshal(body, &faults) == nil && len(faults) > 0 {
			what += ": " + plain(faults[0].Message)
		}
		if code == "request_not_allowed" { // The way is proved; only the question was one that this client may not ask.
			return admin.ResultWarning, what, mend(code)
		}
		return admin.ResultWrong, what, mend(code)
	case status == http.StatusOK && json.Unmarshal(body, &versions) == nil && len(versions) > 0:
		what = fmt.Sprintf("%s answered GET /services/data/ with 200; its newest API version is %s", host, plain(versions[len(versions)-1].Version))
		if chosen {
			what += "; org " + org + " was chosen by the user's name"
		}
		return admin.ResultOK, what, ""
	case status == http.StatusUnauthorized:
		return admin.ResultWrong, host + " itself answered 401: it was given no session that it knows", "sallyport doctor, on the proxy's side, says how its grant is"
	}
	return admin.ResultWrong, fmt.Sprintf("%s itself answered GET /services/data/ with %d, which isn't a list of versions", host, status), "is it the host of an org?"
}
