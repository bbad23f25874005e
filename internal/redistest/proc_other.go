//go:build !linux

package redistest

import "os/exec"

// dieWithUs is for Linux: elsewhere a server may outlive a killed test.
func dieWithUs(*exec.Cmd) {}
