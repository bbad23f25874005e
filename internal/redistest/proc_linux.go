package redistest

import (
	"os/exec"
	"syscall"
)

// dieWithUs ends cmd when this process ends without having killed it.
func dieWithUs(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
