//go:build !linux

package egress

import (
	"net"
	"syscall"
	"time"
)

// lateBindPort does nothing: the kernel chooses the port at bind.
func lateBindPort(syscall.RawConn) {}

// setUserTimeout does nothing: there is no TCP_USER_TIMEOUT.
func setUserTimeout(*net.TCPConn, time.Duration) error { return nil }

// nothingSent takes every failed write for one that may have sent something.
func nothingSent(error) bool { return false }
