package tokens

import (
	"reflect"
	"testing"
	"time"
)

// beforeASuspension is now as it was read before a machine was suspended for d:
// the wall clock went on, the monotonic clock stood still. Time's methods move
// both readings together, so this one turns the monotonic reading itself.
func beforeASuspension(t *testing.T, d time.Duration) time.Time {
	t.Helper()
	at := time.Now().Add(-d)
	mono := reflect.ValueOf(&at).Elem().FieldByName("ext")
	if !mono.IsValid() || mono.Kind() != reflect.Int64 {
		t.Fatal("time.Time has another layout: find its monotonic reading again")
	}
	v := reflect.NewAt(mono.Type(), mono.Addr().UnsafePointer()).Elem()
	v.SetInt(v.Int() + int64(d))
	return at
}

func TestFailure55ASuspensionCountsAsTime(t *testing.T) {
	began := beforeASuspension(t, 40*time.Second)
	if mono := time.Since(began); mono > 5*time.Second {
		t.Fatalf("the monotonic clock went on by %s", mono)
	}
	if got := elapsed(began); got < 40*time.Second {
		t.Errorf("%s passed, want the 40 s that the machine was suspended", got)
	}
}

// A wall clock that was set back doesn't make the time shorter.
func TestFailure55AWallClockThatWasSetBackSavesNoTime(t *testing.T) {
	began := beforeASuspension(t, -40*time.Second).Add(-50 * time.Second)
	if got := elapsed(began); got < 50*time.Second-time.Second {
		t.Errorf("%s passed, want the 50 s of the monotonic clock", got)
	}
}
