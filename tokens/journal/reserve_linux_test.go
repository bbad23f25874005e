package journal_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sallyport/sallyport/tokens/journal"
)

func TestBeginReservesRoomOnTheDisk(t *testing.T) {
	d := t.TempDir()
	j := open(t, journal.Options{Dir: d, Sealer: keyring(t)})
	for gen := range int64(2) { // two answers are awaited
		if err := j.Begin(intent("acme", gen+1)); err != nil {
			t.Fatal(err)
		}
	}
	names, err := filepath.Glob(filepath.Join(d, "journal.*"))
	if err != nil || len(names) != 1 {
		t.Fatalf("files %v, %v", names, err)
	}
	info, err := os.Stat(names[0])
	if err != nil {
		t.Fatal(err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Blocks*512 < 128<<10 || info.Size() > 8<<10 {
		t.Errorf("%d bytes take %d on the disk", info.Size(), st.Blocks*512)
	}
}
