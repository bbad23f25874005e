package proxy

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/proxy/access"
)

const (
	grpcPrefix = 5 // Of a message: compressed or not, and its length (gRPC over HTTP/2, Length-Prefixed-Message).
	// maxGRPCMessage is the most that a Pub/Sub request may hold (Pub/Sub API, allocations), in bytes, and gRPC's default.
	maxGRPCMessage = 4 << 20
	grpcStatus     = "Grpc-Status"
	grpcText       = "Grpc-Message"
	grpcDead       = "16" // UNAUTHENTICATED.
)

var (
	errGRPCFrame = &access.RefusalError{Code: access.BadRequest,
		Message: "the body is no sequence of gRPC messages: a message's prefix isn't one, or its length isn't its own"}
	errGRPCSize = &access.RefusalError{Code: access.BadRequest,
		Message: "a message is larger than 4 MiB, more than the Pub/Sub API takes"}
	errGRPCProto = &access.RefusalError{Code: access.BadRequest,
		Message: "gRPC needs HTTP/2: the client's TLS must offer h2"}
)

// grpcMessages gives the messages of a gRPC request one by one, each when it is whole, so that nothing of one that isn't
// what it says is sent on. It is read by one goroutine at a time.
type grpcMessages struct {
	io.ReadCloser
	upload  *upload
	message []byte // What was read of one.
	ready   []byte // What is to be given.
	err     error
}

// Read implements io.Reader.
func (g *grpcMessages) Read(b []byte) (int, error) {
	for len(g.ready) == 0 {
		if g.err != nil {
			return 0, g.err
		}
		g.err = g.fill()
	}
	n := copy(b, g.ready)
	g.ready = g.ready[n:]
	return n, nil
}

// fill reads one message. What it keeps grows with what came, not with what was announced.
func (g *grpcMessages) fill() error {
	g.message = g.message[:0]
	g.upload.patient = true // A stream may be silent between messages for as long as it likes.
	err := g.more(1)
	if g.upload.patient = false; err == nil {
		err = g.more(grpcPrefix - 1)
	}
	if err != nil {
		if errors.Is(err, io.EOF) && len(g.message) > 0 {
			return errGRPCFrame
		}
		return err
	}
	length := binary.BigEndian.Uint32(g.message[1:])
	switch {
	case g.message[0] > 1:
		return errGRPCFrame
	case length > maxGRPCMessage:
		return errGRPCSize
	}
	if err := g.more(int(length)); err != nil {
		if errors.Is(err, io.EOF) {
			return errGRPCFrame
		}
		return err
	}
	g.ready = g.message
	return nil
}

func (g *grpcMessages) more(n int) error {
	for n > 0 {
		step := min(n, 16<<10)
		at := len(g.message)
		g.message = append(g.message, make([]byte, step)...)
		m, err := io.ReadFull(g.ReadCloser, g.message[at:])
		if g.message = g.message[:at+m]; err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				err = io.EOF
			}
			return err
		}
		n -= step
	}
	return nil
}

// judgeGRPC tells whether a call was refused for its session: by trailers without a message before them, which come at
// once. Else the answer streams on. cancel ends the request.
func judgeGRPC(resp *http.Response, cancel context.CancelFunc) verdict {
	if v := resp.Header[grpcStatus]; len(v) > 0 {
		resp.Body = &closing{resp.Body, cancel}
		if v[0] == grpcDead {
			return dead
		}
		return alive
	}
	a := newAhead(resp.Body, cancel)
	resp.Body = a
	late := time.NewTimer(judgeWithin)
	defer late.Stop()
	select {
	case p, more := <-a.pieces:
		a.read = p
		if !more && errors.Is(a.err, io.EOF) && resp.Trailer.Get(grpcStatus) == grpcDead {
			return dead
		}
	case <-late.C:
	}
	return alive
}
