package journal

import "runtime"

// WaitQueued returns once n writes wait for their turn.
func WaitQueued(j *Journal, n int) {
	for {
		j.mu.Lock()
		queued := j.next != nil && len(j.next.writes) == n
		j.mu.Unlock()
		if queued {
			return
		}
		runtime.Gosched()
	}
}
