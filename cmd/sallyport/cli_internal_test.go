package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sallyport": main})
}

// TestScripts runs the manual of the command line. The command fakeserver starts a server on the admin socket of the
// script's state directory.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fakeserver": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(serveFake(ts.Getenv("SALLYPORT_STATE_DIR"), ts, args))
			},
		},
		Setup: func(e *testscript.Env) error {
			e.Setenv("SALLYPORT_STATE_DIR", e.WorkDir+"/s")
			return os.Mkdir(e.WorkDir+"/s", 0o700)
		},
	})
}

// onFake returns streams to a fake server.
func onFake(t *testing.T) (environ []string, f *fake) {
	t.Helper()
	dir := t.TempDir()
	f = newFake()
	stop, err := f.listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return []string{"SALLYPORT_STATE_DIR=" + dir}, f
}

func TestGrantAuthorizeTakesThePastedAddress(t *testing.T) {
	environ, f := onFake(t)
	out, shown := io.Pipe()
	pasted, paste := io.Pipe()
	go func() { // ends with the command: it plays the person with a browser
		line, err := bufio.NewReader(out).ReadString('\n')
		u, perr := url.Parse(strings.TrimSpace(line))
		if err != nil || perr != nil || u.Host != "acme.my.salesforce.com" || u.Query().Get("code_challenge_method") != "S256" {
			paste.CloseWithError(io.ErrUnexpectedEOF)
			return
		}
		go io.Copy(io.Discard, out) // ends with the command's output
		io.WriteString(paste, u.Query().Get("redirect_uri")+"?code=aPrxTOPSECRET&state="+u.Query().Get("state")+"\n")
	}()
	var stderr bytes.Buffer
	code := run([]string{"grant", "authorize", "acme-prod"}, pasted, shown, &stderr, environ)
	shown.Close()
	if code != 0 || strings.Contains(stderr.String(), "TOPSECRET") {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	if got := f.last(); got != "authorize acme-prod code=aPrxTOPSECRET" {
		t.Errorf("the server did %q", got)
	}
}

func TestExchangesFollowsWhatComes(t *testing.T) {
	environ, f := onFake(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var out bytes.Buffer
	lines := writerFunc(func(b []byte) (int, error) {
		out.Write(b)
		if strings.Contains(out.String(), `"generation":9`) {
			cancel()
		}
		f.exchanged(9)
		return len(b), nil
	})
	cmd := exchangesCmd{Org: "acme-prod", Follow: true, Limit: 10, Output: "json"}
	if err := cmd.Run(ctx, &streams{out: lines, err: io.Discard, environ: environ}); err != nil {
		t.Fatal(err)
	}
	var generations []string
	for line := range strings.Lines(out.String()) {
		_, rest, _ := strings.Cut(line, `"generation":`)
		generation, _, _ := strings.Cut(rest, ",")
		generations = append(generations, generation)
	}
	if got := strings.Join(generations, " "); got != "6 7 9" {
		t.Errorf("generations %q, want each once", got)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
