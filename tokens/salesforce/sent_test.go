package salesforce_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/salesforce"
)

// broken is a connection whose Write fails, and which knows whether anything
// left all the same.
type broken struct {
	net.Conn
	wrote  bool
	answer io.Reader
	writes int
}

func (b *broken) Write([]byte) (int, error)  { b.writes++; return 0, errors.New("broken pipe") }
func (b *broken) Read(p []byte) (int, error) { return b.answer.Read(p) }
func (b *broken) Wrote() bool                { return b.wrote }
func (*broken) SetDeadline(time.Time) error  { return nil }

// fixed dials one connection.
type fixed struct{ conn salesforce.Conn }

func (f fixed) DialTLS(context.Context, tokens.OrgID, netip.Addr, string, uint16) (salesforce.Conn, error) {
	return f.conn, nil
}

func TestAFailedWriteIsJudgedByWhatTheConnectionKnows(t *testing.T) {
	for name, c := range map[string]struct {
		wrote  bool
		answer string
	}{
		"nothing left":                   {false, ""},
		"something left":                 {true, ""},
		"something left, an answer came": {true, ok(success)},
		"something left, a cut one came": {true, ok(success)[:100]},
		"something left, no HTTP came":   {true, "x"},
	} {
		t.Run(name, func(t *testing.T) {
			conn := &broken{wrote: c.wrote, answer: strings.NewReader(c.answer)}
			x, err := salesforce.New(salesforce.Options{Dialer: fixed{conn}, Apps: apps{testApp()}})
			if err != nil {
				t.Fatal(err)
			}
			l, err := x.Connect(t.Context(), org)
			if err != nil {
				t.Fatal(err)
			}
			a, sent, err := l.Send(t.Context(), refresh(), noGuard)
			e := failed(t, err, tokens.CodeUpstream)
			if sent != c.wrote || e.Temporary == sent || string(a) != c.answer || conn.writes != 1 {
				t.Errorf("sent %t, answer %q, %d writes, error %+v", sent, a, conn.writes, e)
			}
		})
	}
}
