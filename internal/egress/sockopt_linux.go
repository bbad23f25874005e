package egress

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lateBindPort lets the kernel choose the local port at connect, when it knows the destination (ip(7),
// IP_BIND_ADDRESS_NO_PORT): else one source address has some 28,000 ports for all destinations together. It works
// without; an error is of no consequence.
func lateBindPort(c syscall.RawConn) {
	_ = c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	})
}

// setUserTimeout sets TCP_USER_TIMEOUT (tcp(7)).
func setUserTimeout(c *net.TCPConn, d time.Duration) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var opt error
	if err := raw.Control(func(fd uintptr) {
		opt = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	}); err != nil {
		return err
	}
	return os.NewSyscallError("setsockopt", opt)
}

// nothingSent reports whether a Write that returned 0 and err has certainly given nothing to the kernel: it was not
// called, or tcp_sendmsg found the connection broken before it took a byte. Whatever isn't listed is unclear.
func nothingSent(err error) bool {
	for _, known := range []error{
		net.ErrClosed, os.ErrDeadlineExceeded,
		syscall.EPIPE, syscall.ECONNRESET, syscall.ENOTCONN, syscall.ETIMEDOUT,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}
