package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// A reading is the state of an arrangement at one moment.
type reading struct {
	cpu     float64 // seconds so far, user and system
	written int64   // bytes so far that went to a disk
	lines   int64   // logged so far
	files   string  // names, sizes and times of the state directory
	counts  counts  // what the upstream saw so far
}

func (l *lab) look(a *arrangement) (r reading, err error) {
	if r.counts, err = l.seen(); err != nil || a.pid == 0 {
		return r, err
	}
	if r.cpu, err = cpu(a.pid); err != nil {
		return r, err
	}
	r.lines = a.said.count()
	if a.stateDir == "" {
		return r, nil
	}
	if r.written, err = field(a.pid, "io", "write_bytes:"); err != nil {
		return r, err
	}
	r.files, err = inventory(a.stateDir)
	return r, err
}

// cpu is the user and system time of a process in seconds, from
// /proc/PID/stat, which counts in hundredths of a second (USER_HZ).
func cpu(pid int) (float64, error) {
	p, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(p[bytes.LastIndexByte(p, ')')+1:])) // the name may hold spaces
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	var ticks int64
	for _, f := range fields[11:13] { // utime and stime, the 14th and 15th of all
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return float64(ticks) / 100, nil
}

// resident is the resident memory of a process in bytes.
func resident(pid int) (int64, error) {
	kib, err := field(pid, "status", "VmRSS:")
	return kib << 10, err
}

// field is the number behind a name in a file of /proc/PID.
func field(pid int, file, name string) (int64, error) {
	p, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return 0, err
	}
	_, rest, found := strings.Cut("\n"+string(p), "\n"+name)
	if words := strings.Fields(rest); found && len(words) > 0 {
		return strconv.ParseInt(words[0], 10, 64)
	}
	return 0, fmt.Errorf("/proc/%d/%s has no %s", pid, file, name)
}

// inventory lists the files under dir with their sizes and times of change.
func inventory(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, e := range entries {
		info, err := e.Info()
		if os.IsNotExist(err) {
			continue // gone between the two calls: its absence will show
		}
		if err != nil {
			return "", err
		}
		fmt.Fprintln(&b, e.Name(), info.Size(), info.ModTime().Format(time.RFC3339Nano))
		if e.IsDir() {
			inner, err := inventory(dir + "/" + e.Name())
			if err != nil {
				return "", err
			}
			b.WriteString(inner)
		}
	}
	return b.String(), nil
}

// loadAverage is the machine's, over 1, 5 and 15 minutes.
func loadAverage() string {
	p, err := os.ReadFile("/proc/loadavg")
	if words := strings.Fields(string(p)); err == nil && len(words) >= 3 {
		return strings.Join(words[:3], " ")
	}
	return "unknown"
}
