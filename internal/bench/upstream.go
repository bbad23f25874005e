package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// What the stand-in for Salesforce serves.
const (
	host       = "acme.my.salesforce.com"
	plainPath  = "/services/data/v65.0/sobjects/Account/001000000000001AAA"
	bulkPath   = "/services/data/v65.0/jobs/query/750000000000001AAA/results"
	answerSize = 2 << 10
	bulkSize   = 256 << 20
	bearer     = "00D000000000001!AQcAQH0dMHEXAMPLEvZmpoA.bench"
)

type upstreamConfig struct{ Cert, Key string }

// counts is what the upstream saw.
type counts struct{ API, Token int64 }

// upstream answers like a Salesforce org would, as cheaply as Go allows, so
// that it is not what limits a run: one read, one write, one TLS record.
type upstream struct {
	plain, bulkHead []byte
	chunk           []byte
	api, token      atomic.Int64
}

// playUpstream is the role "upstream": after its configuration every order is
// answered with counts.
func playUpstream(in *json.Decoder, out *json.Encoder) error {
	debug.SetGCPercent(400)
	var c upstreamConfig
	if err := in.Decode(&c); err != nil {
		return err
	}
	cert, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates:     []tls.Certificate{cert},
		MinVersion:       tls.VersionTLS13,
		CurvePreferences: []tls.CurveID{tls.CurveP256},
		NextProtos:       []string{"http/1.1"},
	})
	if err != nil {
		return err
	}
	u := newUpstream()
	go u.accept(l) // ends with the process
	if err := out.Encode(ready{Addr: l.Addr().String()}); err != nil {
		return err
	}
	return eachOrder(in, func() error { return out.Encode(counts{API: u.api.Load(), Token: u.token.Load()}) })
}

func newUpstream() *upstream {
	body := `{"attributes":{"type":"Account"},"Id":"001000000000001AAA","Description":"`
	body += strings.Repeat("x", answerSize-len(body)-2) + `"}`
	return &upstream{
		plain:    answer("200 OK", body),
		bulkHead: fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: %d\r\n\r\n", bulkSize),
		chunk:    bytes.Repeat([]byte("0123456789abcde\n"), 4<<10),
	}
}

func answer(status, body string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 %s\r\nContent-Type: application/json;charset=UTF-8\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
}

func (u *upstream) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go u.serve(conn) // ends with the connection
	}
}

func (u *upstream) serve(conn net.Conn) {
	defer conn.Close()
	buf, have := make([]byte, 16<<10), 0
	for {
		end := bytes.Index(buf[:have], []byte("\r\n\r\n"))
		if end >= 0 {
			whole := end + 4
			if buf[0] == 'P' { // POST is the only method here that has a body
				whole += contentLength(buf[:end])
			}
			if have >= whole {
				if u.answer(conn, buf[:whole]) != nil {
					return
				}
				have = copy(buf, buf[whole:have])
				continue
			}
		}
		n, err := conn.Read(buf[have:]) // a full buffer reads nothing and ends the connection
		if err != nil || n == 0 {
			return
		}
		have += n
	}
}

func (u *upstream) answer(conn net.Conn, req []byte) error {
	write := func(p []byte) error { _, err := conn.Write(p); return err }
	switch {
	case bytes.HasPrefix(req, []byte("POST /services/oauth2/token ")):
		u.token.Add(1)
		return write(tokenAnswer(req, time.Now()))
	case bytes.HasPrefix(req, []byte("POST /services/oauth2/introspect ")):
		u.token.Add(1)
		return write(introspectAnswer(time.Now()))
	case !bytes.Contains(req, []byte(": Bearer "+bearer)):
		return write(answer("401 Unauthorized", `[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]`))
	case bytes.HasPrefix(req, []byte("GET "+plainPath+" ")):
		u.api.Add(1)
		return write(u.plain)
	case bytes.HasPrefix(req, []byte("GET "+bulkPath+" ")):
		u.api.Add(1)
		if err := write(u.bulkHead); err != nil {
			return err
		}
		for range bulkSize / len(u.chunk) {
			if err := write(u.chunk); err != nil {
				return err
			}
		}
		return nil
	}
	return write(answer("404 Not Found", `[{"errorCode":"NOT_FOUND","message":"The requested resource does not exist"}]`))
}

func tokenAnswer(req []byte, now time.Time) []byte {
	if !bytes.Contains(req, []byte("grant_type=client_credentials")) {
		return answer("400 Bad Request", `{"error":"unsupported_grant_type","error_description":"grant type not supported"}`)
	}
	return answer("200 OK", fmt.Sprintf(`{"access_token":%q,"instance_url":"https://%s","id":"https://login.salesforce.com/id/00D000000000001EAA/005000000000001AAA","token_type":"Bearer","scope":"api","issued_at":"%d","signature":"c2lnbmF0dXJl"}`,
		bearer, host, now.UnixMilli()))
}

func introspectAnswer(now time.Time) []byte {
	return answer("200 OK", fmt.Sprintf(`{"active":true,"scope":"api","client_id":"bench","username":"bench@acme.example","sub":"https://login.salesforce.com/id/00D000000000001EAA/005000000000001AAA","token_type":"access_token","exp":%d,"iat":%d,"nbf":%d}`,
		now.Add(2*time.Hour).Unix(), now.Unix(), now.Unix()))
}

// contentLength is the length that head, without its final empty line, states;
// 0 when it states none, -1 when the body has no stated length.
func contentLength(head []byte) int {
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case len(name) == len("Content-Length") && bytes.EqualFold(name, []byte("Content-Length")):
			n, err := strconv.Atoi(string(bytes.TrimSpace(value)))
			if err != nil {
				return -1
			}
			return n
		case len(name) == len("Transfer-Encoding") && bytes.EqualFold(name, []byte("Transfer-Encoding")):
			return -1
		}
	}
	return 0
}
