package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
)

// AddressNotAllowedError says that the guard refused a destination before anything was sent. It is permanent for an
// address that is given as such; a name may resolve differently later.
type AddressNotAllowedError struct {
	Host   string
	Addr   netip.Addr // What Host resolved to; the zero Addr when the name itself was refused.
	Reason string
}

// Error implements error.
func (e *AddressNotAllowedError) Error() string {
	to := e.Host
	if e.Addr.IsValid() && e.Addr.String() != e.Host {
		to += " (" + e.Addr.String() + ")"
	}
	msg := fmt.Sprintf("connection to %s refused by the egress guard: %s", to, e.Reason)
	if e.Addr.IsValid() {
		msg += "; if it is meant, allow it with SALLYPORT_ALLOW_ADDRESSES"
	}
	return msg
}

// SourceError says that a connection cannot leave from an address. Nothing was sent. Trying again helps only once
// the address is configured on the machine and in SALLYPORT_EGRESS_SOURCE_IPS.
type SourceError struct {
	Addr   netip.Addr // The zero Addr: the kernel's choice.
	Reason string
}

// Error implements error.
func (e *SourceError) Error() string {
	if !e.Addr.IsValid() {
		return "no source address was chosen: " + e.Reason
	}
	return fmt.Sprintf("cannot leave from source address %v: %s", e.Addr, e.Reason)
}

// Stages of making a connection, in an [UnreachableError].
const (
	StageConnect   = "connect"   // Name look-up and TCP.
	StageProxy     = "proxy"     // The upstream proxy: reaching it, or its answer to CONNECT.
	StageHandshake = "handshake" // The network failed, or was too slow, during TLS.
)

// UnreachableError says that no connection to Host was made. Nothing was sent to Host; trying again is safe.
type UnreachableError struct {
	Host  string // host:port
	Stage string
	Err   error
}

// Error implements error.
func (e *UnreachableError) Error() string {
	return fmt.Sprintf("%s is unreachable (%s): %v", e.Host, e.Stage, e.Err)
}

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// Timeout reports whether time ran out.
func (e *UnreachableError) Timeout() bool { return isTimeout(e.Err) }

// ProxyError says that the upstream proxy refused to connect. It is the cause in an [UnreachableError].
type ProxyError struct {
	Proxy  string // scheme://host:port, without userinfo.
	Status int    // Its answer to CONNECT; 0: no HTTP answer.
}

// Error implements error.
func (e *ProxyError) Error() string {
	switch e.Status {
	case 0:
		return fmt.Sprintf("the upstream proxy %s did not answer in HTTP; check the scheme and port of SALLYPORT_EGRESS_PROXY", e.Proxy)
	case 407:
		return fmt.Sprintf("the upstream proxy %s refused the user and password of SALLYPORT_EGRESS_PROXY (407)", e.Proxy)
	default:
		return fmt.Sprintf("the upstream proxy %s answered %d to CONNECT", e.Proxy, e.Status)
	}
}

// TLSError says that TLS with Host failed for another reason than the network: an untrusted or wrong certificate, no
// common version. Nothing but the handshake was sent. Trying again is safe, and helps once the peer, or
// SALLYPORT_UPSTREAM_CA_FILE, is mended.
type TLSError struct {
	Host string // host:port
	Err  error
}

// Error implements error.
func (e *TLSError) Error() string { return fmt.Sprintf("TLS with %s failed: %v", e.Host, e.Err) }

// Unwrap returns the cause.
func (e *TLSError) Unwrap() error { return e.Err }

// BusyError says that there are as many connections to Host as may be, all in use; [Classify] counts it as unreachable.
// Nothing was sent; trying again is safe and helps once one of them ends.
type BusyError struct {
	Host string // host:port
	Open int
}

// Error implements error.
func (e *BusyError) Error() string {
	return fmt.Sprintf("%d connections to %s are in use, as many as may be: try again", e.Open, e.Host)
}

// Class is a kind of failure in one short word, fit for a metric's error.type.
type Class string

// The classes of [Classify].
const (
	ClassNone              Class = ""
	ClassCanceled          Class = "canceled" // The caller went away.
	ClassAddressNotAllowed Class = "address_not_allowed"
	ClassSource            Class = "source_address"
	ClassUnverified        Class = "egress_unverified"
	ClassTLS               Class = "tls"
	ClassUnreachable       Class = "unreachable" // Also a connection that broke before the answer.
	ClassTimeout           Class = "timeout"     // Connected, but no answer in time.
)

// Classify says what kind of failure err, from this package or from a RoundTrip through it, is.
func Classify(err error) Class {
	switch {
	case err == nil:
		return ClassNone
	case as[*AddressNotAllowedError](err):
		return ClassAddressNotAllowed
	case as[*SourceError](err):
		return ClassSource
	case as[*UnverifiedError](err):
		return ClassUnverified
	case as[*TLSError](err):
		return ClassTLS
	case errors.Is(err, context.Canceled):
		return ClassCanceled
	case as[*UnreachableError](err), as[*BusyError](err):
		return ClassUnreachable
	case isTimeout(err):
		return ClassTimeout
	default:
		return ClassUnreachable
	}
}

// NotSent reports whether err proves that no byte of a request left: it happened while a connection was made. An err
// that proves nothing gives false.
func NotSent(err error) bool {
	return as[*AddressNotAllowedError](err) || as[*SourceError](err) || as[*UnverifiedError](err) || as[*TLSError](err) || as[*UnreachableError](err) ||
		as[*BusyError](err)
}

func as[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func isTimeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout() || errors.Is(err, context.DeadlineExceeded)
}

// isNetwork reports whether a failed handshake is the network's fault and not TLS's.
func isNetwork(err error) bool {
	return isTimeout(err) || errors.Is(err, context.Canceled) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || as[syscall.Errno](err)
}
