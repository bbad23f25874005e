package egress_test

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestTheSocketOfATokenRequestIsDroppedOnClose(t *testing.T) {
	c := dial(t, serve(t, nil))
	raw, err := c.TCP().SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		linger, err := unix.GetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER)
		if err != nil || linger.Onoff == 0 || linger.Linger != 0 {
			t.Errorf("SO_LINGER = %+v, %v", linger, err)
		}
		for name, opt := range map[string]struct{ level, opt, want int }{
			"TCP_USER_TIMEOUT": {unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 10_000},
			"SO_KEEPALIVE":     {unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			"TCP_KEEPIDLE":     {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 30},
			"TCP_NODELAY":      {unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		} {
			if got, err := unix.GetsockoptInt(int(fd), opt.level, opt.opt); err != nil || got != opt.want {
				t.Errorf("%s = %d, %v, want %d", name, got, err, opt.want)
			}
		}
	})
}
