package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// wire is a caller on raw TLS with a request formatted once.
type wire struct {
	load    load
	config  *tls.Config
	request []byte
	buf     []byte
	conn    *tls.Conn // nil when closed
}

// open dials, asks for a tunnel when there is a proxy, and shakes hands.
func (w *wire) open() error {
	d := net.Dialer{Timeout: 10 * time.Second}
	raw, err := d.DialContext(context.Background(), "tcp", w.load.Target)
	if err != nil {
		return err
	}
	limit := time.Minute + time.Duration(w.load.Seconds*float64(time.Second))
	if err = raw.SetDeadline(time.Now().Add(limit)); err == nil && w.load.Proxied {
		err = w.connect(raw)
	}
	if err != nil {
		raw.Close()
		return err
	}
	w.conn = tls.Client(raw, w.config)
	if err := w.conn.HandshakeContext(context.Background()); err != nil {
		w.close()
		return fmt.Errorf("handshake: %w", err)
	}
	return nil
}

func (w *wire) connect(raw net.Conn) error {
	head := "CONNECT " + host + ":443 HTTP/1.1\r\nHost: " + host + ":443\r\n"
	if w.load.Auth != "" {
		head += "Proxy-Authorization: " + w.load.Auth + "\r\n"
	}
	if _, err := io.WriteString(raw, head+"\r\n"); err != nil {
		return err
	}
	n := 0
	for !bytes.Contains(w.buf[:n], []byte("\r\n\r\n")) {
		m, err := raw.Read(w.buf[n:])
		if err != nil {
			return fmt.Errorf("the answer to CONNECT: %w", err)
		}
		n += m
	}
	if !bytes.HasPrefix(w.buf[:n], []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("CONNECT was answered %.200q", w.buf[:n])
	}
	return nil
}

func (w *wire) close() {
	if w.conn != nil {
		w.conn.Close()
		w.conn = nil
	}
}

func (w *wire) do() (int64, bool, error) {
	if w.load.Kind != fresh {
		n, err := w.exchange()
		return n, false, err
	}
	if err := w.open(); err != nil {
		return 0, false, err
	}
	defer w.close()
	n, err := w.exchange()
	return n, w.conn.ConnectionState().DidResume, err
}

// exchange sends the request and reads the whole answer.
func (w *wire) exchange() (int64, error) {
	if _, err := w.conn.Write(w.request); err != nil {
		return 0, err
	}
	have, end := 0, -1
	for end < 0 {
		n, err := w.conn.Read(w.buf[have:])
		if err != nil {
			return 0, fmt.Errorf("reading an answer: %w", err)
		}
		have += n
		end = bytes.Index(w.buf[:have], []byte("\r\n\r\n"))
	}
	if !bytes.HasPrefix(w.buf, []byte("HTTP/1.1 200 ")) {
		return 0, fmt.Errorf("answered %.300q", w.buf[:have])
	}
	size := contentLength(w.buf[:end])
	if size < 0 {
		return w.slowly(have)
	}
	if err := w.rightSize(int64(size)); err != nil {
		return 0, err
	}
	for have -= end + 4; have < size; {
		n, err := w.conn.Read(w.buf)
		if err != nil {
			return 0, fmt.Errorf("reading a body: %w", err)
		}
		have += n
	}
	return int64(size), nil
}

// slowly reads an answer that states no length.
func (w *wire) slowly(have int) (int64, error) {
	r, err := http.ReadResponse(bufio.NewReader(io.MultiReader(bytes.NewReader(bytes.Clone(w.buf[:have])), w.conn)), nil)
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	n, err := io.CopyBuffer(io.Discard, r.Body, w.buf)
	return n, errors.Join(err, w.rightSize(n))
}

func (w *wire) rightSize(n int64) error {
	if want := sizeOf(w.load.Path); n != want {
		return fmt.Errorf("an answer of %d bytes instead of %d", n, want)
	}
	return nil
}

func sizeOf(path string) int64 {
	if path == bulkPath {
		return bulkSize
	}
	return answerSize
}
