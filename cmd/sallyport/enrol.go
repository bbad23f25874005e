package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/secret"
)

// maxSecret is the largest refresh token or pasted URL that is read, in bytes.
const maxSecret = 16 << 10

type grantAuthorizeCmd struct {
	orgArg
	RedirectURI string `name:"redirect-uri" default:"https://login.salesforce.com/services/oauth2/success" help:"The app's callback URL, as it is registered (${default})."`
}

// Run begins an authorisation and completes it with the URL that the person pastes.
func (c *grantAuthorizeCmd) Run(ctx context.Context, st *streams) error {
	server, err := st.server()
	if err != nil {
		return err
	}
	begun, err := server.Authorize(ctx, c.Org, c.RedirectURI)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(st.out, begun.URL); err != nil {
		return err
	}
	fmt.Fprint(st.err, "Open this URL, log in as the integration user, allow the access, and paste the whole address\nthat the browser ends at (within 15 minutes): ")
	pasted, err := bufio.NewReader(io.LimitReader(st.in, maxSecret)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if pasted = strings.TrimSpace(pasted); pasted == "" {
		return &usageError{"no address was pasted; nothing was changed"}
	}
	done, err := server.CompleteAuthorize(ctx, c.Org, pasted)
	if err != nil {
		return err
	}
	return tellEnrolled(st, c.Org, done)
}

type grantImportCmd struct {
	orgArg
	File string `placeholder:"FILE" help:"Read the token from this file instead of stdin."`
}

// Run enrols a refresh token that never was an argument.
func (c *grantImportCmd) Run(ctx context.Context, st *streams) error {
	token, err := c.read(st)
	if err != nil {
		return err
	}
	if token.IsZero() {
		return &usageError{"there is no refresh token in the input; nothing was changed"}
	}
	server, err := st.server()
	if err != nil {
		return err
	}
	done, err := server.Import(ctx, c.Org, token)
	if err != nil {
		return err
	}
	return tellEnrolled(st, c.Org, done)
}

func (c *grantImportCmd) read(st *streams) (secret.Text, error) {
	in := st.in
	if c.File != "" {
		f, err := os.Open(c.File)
		if err != nil {
			return secret.Text{}, &configError{err}
		}
		defer f.Close()
		in = f
	} else if f, ok := st.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return hidden(f, st.err, "Refresh token: ")
	}
	b, err := readAll(in, maxSecret)
	return secret.NewText(strings.TrimSpace(string(b))), err
}

// hidden reads a line from a terminal that doesn't show it. An interrupt puts the terminal right first.
func hidden(f *os.File, prompt io.Writer, text string) (secret.Text, error) {
	before, err := term.GetState(int(f.Fd()))
	if err != nil {
		return secret.Text{}, err
	}
	interrupted, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	type line struct {
		b   []byte
		err error
	}
	fmt.Fprint(prompt, text)
	read := make(chan line, 1)
	go func() { // ends with the line, or with the process
		b, err := term.ReadPassword(int(f.Fd()))
		read <- line{b, err}
	}()
	select {
	case <-interrupted.Done():
		return secret.Text{}, errors.Join(errors.New("interrupted; nothing was changed"), term.Restore(int(f.Fd()), before))
	case l := <-read:
		fmt.Fprintln(prompt)
		return secret.NewText(strings.TrimSpace(string(l.b))), l.err
	}
}

func tellEnrolled(st *streams, org string, e admin.Enrolled) error {
	if e.Already {
		_, err := fmt.Fprintf(st.out, "org %s holds this token already; nothing was changed\n", org)
		return err
	}
	if _, err := fmt.Fprintf(st.out, "org %s is enrolled: epoch %d, generation %d\n", org, e.Epoch, e.Generation); err != nil {
		return err
	}
	if !e.Truthful {
		fmt.Fprintln(st.err, "Salesforce's introspection did not call the token live, so a later doubt could not be settled by asking: "+
			"let the app introspect its own tokens (Setup, the app's OAuth settings).")
	}
	return nil
}

// ask returns nil when the person agrees. Without a terminal there is nobody to ask.
func (s sure) ask(st *streams, question string) error {
	if s.Yes {
		return nil
	}
	f, ok := st.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &usageError{"this can't be undone, and there is no terminal to ask at: say --yes"}
	}
	fmt.Fprint(st.err, question+" [y/N] ")
	answer, err := bufio.NewReader(io.LimitReader(f, 16)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}
