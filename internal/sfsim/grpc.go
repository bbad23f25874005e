package sfsim

import (
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Status codes of gRPC that the simulator answers.
const (
	grpcInvalidArgument = 3
	grpcNotFound        = 5
	grpcUnimplemented   = 12
	grpcInternal        = 13
	grpcUnauthenticated = 16
)

// RPC is one call of the Pub/Sub API.
type RPC struct {
	Seq         int // from 1
	Time        time.Time
	Host        string // with its port, as sent
	Method      string // such as "Subscribe"
	Source      netip.Addr
	Token       TokenRef // of the metadata accesstoken
	InstanceURL string
	TenantID    string
	ID          string // rpc-id
	Status      int    // of gRPC; meaningful when Done
	ErrorCode   string
	Received    int  // messages of the caller
	Sent        int  // messages to the caller
	Done        bool // false: it runs, or the caller left
}

// grpcError is a call's end that isn't OK.
type grpcError struct {
	status  int
	code    string // the trailer error-code, without its common prefix
	message string
}

func (e *grpcError) Error() string { return e.code + ": " + e.message }

const errorCodePrefix = "sfdc.platform.eventbus.grpc."

// rpc is a call under way. Only its handler's goroutine writes; recv may run on
// another.
type rpc struct {
	sim     *Sim
	w       http.ResponseWriter
	call    *call
	id      string
	session *access
	begun   bool
	seq     int
}

// maxMessage is gRPC's usual limit for one message.
const maxMessage = 4 << 20

// recv reads one message. io.EOF is the caller's half-close.
func (r *rpc) recv() ([]byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r.call.Body, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if head[0] != 0 {
		return nil, &grpcError{grpcUnimplemented, "", "compressed messages are not supported"}
	}
	if n > maxMessage {
		return nil, &grpcError{8, "", "message too large"} // RESOURCE_EXHAUSTED
	}
	m := make([]byte, n)
	if _, err := io.ReadFull(r.call.Body, m); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	r.record(func(x *RPC) { x.Received++ })
	return m, nil
}

// send writes one message and flushes it.
func (r *rpc) send(m []byte) error {
	r.begin()
	frame := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(m)))
	if _, err := r.w.Write(append(frame, m...)); err != nil {
		return err
	}
	r.record(func(x *RPC) { x.Sent++ })
	return http.NewResponseController(r.w).Flush()
}

// begin sends the response's headers.
func (r *rpc) begin() {
	if r.begun {
		return
	}
	r.begun = true
	r.w.Header().Set("Content-Type", "application/grpc")
	r.w.Header().Set("Grpc-Accept-Encoding", "identity")
	r.w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(r.w).Flush() // the next write tells who has gone
}

// end closes the call. A refusal before the first message is trailers only
// unless the switch says otherwise.
func (r *rpc) end(err *grpcError) {
	status := map[string]string{"Grpc-Status": "0", "Rpc-Id": r.id}
	if err != nil {
		status["Grpc-Status"] = strconv.Itoa(err.status)
		status["Grpc-Message"] = escapeMessage(err.message + " rpcId: " + r.id)
		if err.code != "" {
			status["Error-Code"] = errorCodePrefix + err.code
		}
	}
	prefix := http.TrailerPrefix
	switch {
	case err == nil || r.sim.Switches().RefusalAfterHeaders:
		r.begin()
	case !r.begun:
		prefix = ""
		r.w.Header().Set("Content-Type", "application/grpc")
	}
	r.record(func(x *RPC) {
		x.Done = true
		if err != nil {
			x.Status, x.ErrorCode = err.status, status["Error-Code"]
		}
	})
	for name, value := range status {
		r.w.Header().Set(prefix+name, value)
	}
	if prefix == "" {
		r.w.WriteHeader(http.StatusOK)
	}
}

// escapeMessage percent-encodes a grpc-message.
func escapeMessage(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '%' {
			b.WriteString("%" + strings.ToUpper(strconv.FormatUint(uint64(c)|0x100, 16)[1:]))
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// record changes the call's entry in the ledger.
func (r *rpc) record(change func(*RPC)) {
	l := &r.sim.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.rpcs[r.seq-1])
}

// openRPC enters a call into the ledger.
func (s *Sim) openRPC(c *call, id string) int {
	token := c.Header.Get("Accesstoken")
	x := RPC{Time: s.now(), Host: c.Host, Method: c.path[strings.LastIndexByte(c.path, '/')+1:], Source: sourceOf(c.Request),
		InstanceURL: c.Header.Get("Instanceurl"), TenantID: c.Header.Get("Tenantid"), ID: id}
	if token != "" {
		x.Token = s.refOf(token)
	}
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	x.Seq = len(s.ledger.rpcs) + 1
	s.ledger.rpcs = append(s.ledger.rpcs, x)
	return x.Seq
}

// ended turns an error of recv into the call's end; without anybody to tell, the
// connection breaks.
func (r *rpc) ended(err error) *grpcError {
	var e *grpcError
	if !errors.As(err, &e) && !errors.Is(err, io.EOF) {
		r.call.cut = true
	}
	return e
}

// PubSubError ends a Pub/Sub call with a status of gRPC and an error-code, given
// without its prefix "sfdc.platform.eventbus.grpc.", such as 14 and
// "service.unavailable".
func PubSubError(status int, code, message string) Fault {
	h := http.Header{"Content-Type": {"application/grpc"}, "Grpc-Status": {strconv.Itoa(status)}, "Grpc-Message": {escapeMessage(message)}}
	if code != "" {
		h.Set("Error-Code", errorCodePrefix+code)
	}
	return Fault{At: EndpointAPI, Answer: &Answer{Status: http.StatusOK, Header: h}}.named("gRPC %d %s", status, code)
}
