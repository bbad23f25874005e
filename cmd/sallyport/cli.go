package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/registry"
)

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1 // the answer is no, or something failed
	exitUsage  = 2 // wrong usage or configuration: the same call fails again
)

type commands struct {
	Demo        demoCmd        `cmd:"" help:"Show the main job on this machine: a simulated Salesforce, the proxy, an expiry, a rotation raced by many callers."`
	Serve       serveCmd       `cmd:"" help:"Run the proxy and the admin listener, configured by SALLYPORT_… variables."`
	Apply       applyCmd       `cmd:"" help:"Make the apps, orgs and clients of a resources file true."`
	Get         getCmd         `cmd:"" help:"List apps, orgs or clients, or show one."`
	Client      clientCmd      `cmd:"" help:"Secrets of the proxy's clients."`
	Grant       grantCmd       `cmd:"" help:"Authorise an org, look after its grant, end it."`
	Exchanges   exchangesCmd   `cmd:"" help:"Show the history of token exchanges and races."`
	Explain     explainCmd     `cmd:"" help:"Tell the story of an org's last exchanges: who asked, who won the race, who waited, what Salesforce answered."`
	Egress      egressCmd      `cmd:"" help:"The addresses that calls leave by: what to register with Salesforce, proofs, strangers."`
	Doctor      doctorCmd      `cmd:"" help:"Check a deployment: what is wrong and how to mend it. Exit code 1 when something is."`
	Store       storeCmd       `cmd:"" help:"The store of grants."`
	CA          caCmd          `cmd:"" name:"ca" help:"The interception CA that clients trust."`
	Keyset      keysetCmd      `cmd:"" help:"The keyset that seals secrets. Works on files, without a server."`
	Env         envCmd         `cmd:"" help:"Print the variables that make programs use the proxy."`
	Trust       trustCmd       `cmd:"" help:"Build and print what makes a runtime trust the CA: a joined bundle, a trust store for Java."`
	Healthcheck healthcheckCmd `cmd:"" help:"Exit with 0 when /healthz of SALLYPORT_ADMIN_LISTEN answers, else with 1."`
	Version     versionCmd     `cmd:"" help:"Print version, commit and Go version."`
}

// streams are what a command reads and writes. Every command's Run takes it.
type streams struct {
	in       io.Reader
	out, err io.Writer
	environ  []string
}

// getenv returns a variable of the environment, empty where it isn't set. Of two values the last counts.
func (st *streams) getenv(name string) string {
	for _, kv := range slices.Backward(st.environ) {
		if n, v, ok := strings.Cut(kv, "="); ok && n == name {
			return v
		}
	}
	return ""
}

// usageError is wrong usage that only the command itself can see.
type usageError struct{ what string }

func (e *usageError) Error() string { return e.what }

// errTold ends a command with exit code 1 after it has told why.
var errTold = errors.New("told already")

// run runs one command line and returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer, environ []string) int {
	exited := false // by --help
	var root commands
	parser, err := kong.New(&root, kong.Name("sallyport"), kong.Writers(stdout, stderr), kong.Exit(func(int) { exited = true }),
		kong.Description("A forward proxy that puts Salesforce access tokens into API calls, and never loses a refresh token."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.BindTo(context.Background(), (*context.Context)(nil)))
	if err != nil {
		return fail(stderr, err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	switch {
	case exited:
		return exitDone
	case err != nil:
		return fail(stderr, &usageError{misuse(args, err)})
	}
	return fail(stderr, command.Run(&streams{stdin, stdout, stderr, environ}))
}

// misuse tells what is wrong with args. What stands where nothing should isn't repeated: it may be a token or a code.
func misuse(args []string, err error) string {
	switch {
	case slices.Contains(args, "grant") && slices.Contains(args, "import"):
		return "usage: sallyport grant import ORG [--file FILE]; the token is read from stdin or the file, never from an argument"
	case strings.HasPrefix(err.Error(), "unexpected argument"):
		return "there is an argument too many; see sallyport --help"
	}
	return err.Error() + "; see sallyport --help"
}

// fail tells err, if it isn't nil, and returns the exit code.
func fail(stderr io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	if errors.Is(err, errTold) {
		return exitFailed
	}
	_, _ = io.WriteString(stderr, "sallyport: "+err.Error()+"\n") // there is nobody else to tell
	var (
		usage    *usageError
		cfg      *configError
		invalid  *registry.InvalidError
		insecure *admin.InsecureError
		problem  *admin.ProblemError
	)
	switch {
	case errors.As(err, &usage), errors.As(err, &cfg), errors.As(err, &invalid), errors.As(err, &insecure), errors.Is(err, config.ErrInvalid),
		errors.As(err, &problem) && len(problem.Faults) > 0:
		return exitUsage
	}
	return exitFailed
}
