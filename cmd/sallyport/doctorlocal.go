package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/secret"
)

// soon is how long before the end of a CA the doctor warns.
const soon = 90 * 24 * time.Hour

// localFindings are what can be seen without a server: the environment that this process shares with serve, and files.
func (st *streams) localFindings(now time.Time) []admin.Finding {
	c, err := config.Load(st.environ)
	out := environmentFindings(c, err)
	dir, dirErr := st.stateDirPath()
	if dirErr != nil {
		return out // config.Load has told.
	}
	out = append(out, stateDirFinding(dir))
	if err == nil {
		out = append(out, keysetFinding(c.Keyset, stateDir(dir)))
		if c.CACert != "" {
			out = append(out, caFinding(c.CACert, now))
		}
	}
	return out
}

func environmentFindings(c config.Config, err error) []admin.Finding {
	var faulty *config.EnvError
	if errors.As(err, &faulty) {
		var out []admin.Finding
		for _, f := range faulty.Faults {
			out = append(out, admin.Finding{Check: "environment", Result: admin.ResultWrong, What: f.Variable + ": " + f.Message,
				Hint: "sallyport serve refuses to start with it"})
		}
		return out
	}
	if err != nil {
		return []admin.Finding{{Check: "environment", Result: admin.ResultWrong, What: err.Error(), Hint: "sallyport serve refuses to start with it"}}
	}
	out := []admin.Finding{{Check: "environment", Result: admin.ResultOK, What: "sallyport serve would take it"}}
	for _, l := range c.Listen {
		if l.Kind == config.KindPlain && !l.Loopback() {
			out = append(out, admin.Finding{Check: "environment", Result: admin.ResultWarning, What: "SALLYPORT_PLAINTEXT=allow: clients' passwords cross the network in clear to " + l.String(),
				Hint: "listen on https:// with SALLYPORT_TLS_CERT and SALLYPORT_TLS_KEY"})
		}
	}
	return out
}

func stateDirFinding(dir string) admin.Finding {
	f := admin.Finding{Check: "state directory", Result: admin.ResultOK, What: dir + " is its owner's alone"}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Result, f.What, f.Hint = admin.ResultNotVisible, dir+" isn't there", "the first sallyport serve makes it; SALLYPORT_STATE_DIR says where"
	case err != nil:
		f.Result, f.What, f.Hint = admin.ResultWrong, err.Error(), "run the doctor as the user that runs sallyport serve"
	case !info.IsDir():
		f.Result, f.What, f.Hint = admin.ResultWrong, dir+" is no directory", "move it away, or set SALLYPORT_STATE_DIR"
	case info.Mode().Perm()&0o077 != 0:
		f.Result, f.What, f.Hint = admin.ResultWrong, fmt.Sprintf("others can use %s (mode %#o)", dir, info.Mode().Perm()), "run chmod 700 "+dir
	}
	return f
}

// keysetFinding opens the keyset. Whether it opens the store, only the server can say, which has it locked.
func keysetFinding(k config.Keyset, dir stateDir) admin.Finding {
	f := admin.Finding{Check: "keyset", Result: admin.ResultOK}
	where := k.Path
	switch {
	case k.Variable != "":
		where = "the variable " + k.Variable
	case where == "":
		where = filepath.Join(string(dir), "keyset.json")
	}
	b, err := readKeyset(k, dir, false)
	if err == nil {
		_, err = secret.ParseKeyring(b)
	}
	switch {
	case k.IsZero() && missing(where):
		f.Result, f.What, f.Hint = admin.ResultNotVisible, where+" isn't there", "the first sallyport serve makes it, unless SALLYPORT_KEYSET names another"
	case err != nil:
		f.Result, f.What, f.Hint = admin.ResultWrong, err.Error(), "restore the keyset, or run the doctor as the user that runs sallyport serve"
	default:
		f.What = where + " can be used"
	}
	return f
}

func missing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// caFinding judges the operator's own CA.
func caFinding(file string, now time.Time) admin.Finding {
	f := admin.Finding{Check: "ca", Result: admin.ResultOK}
	b, err := os.ReadFile(file)
	if err == nil {
		var certs []*x509.Certificate
		if certs, err = parseCertificates(b); err == nil {
			return judgeCA(file, certs[0], now)
		}
	}
	f.Result, f.What, f.Hint = admin.ResultWrong, "SALLYPORT_CA_CERT: "+err.Error(), "put the CA's certificate there, as PEM"
	return f
}

func judgeCA(file string, c *x509.Certificate, now time.Time) admin.Finding {
	f := admin.Finding{Check: "ca", Result: admin.ResultOK, What: file + " is valid until " + c.NotAfter.UTC().Format(time.DateOnly)}
	switch {
	case now.Before(c.NotBefore):
		f.Result, f.What, f.Hint = admin.ResultWrong, file+" is valid only from "+c.NotBefore.UTC().Format(time.RFC3339), "set this machine's clock, or bring another CA"
	case now.After(c.NotAfter):
		f.Result, f.What, f.Hint = admin.ResultWrong, file+" has ended on "+c.NotAfter.UTC().Format(time.DateOnly), "bring a new CA and give its root to the clients"
	case c.NotAfter.Sub(now) < soon:
		f.Result, f.Hint = admin.ResultWarning, "bring a new CA and give its root to the clients"
	}
	return f
}
