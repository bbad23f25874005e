package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
)

// prefix begins every variable of ours.
const prefix = "SALLYPORT_"

// loader gathers what is wrong.
type loader struct {
	vars   map[string]string // Without empty ones: an empty variable counts as not set.
	cfg    Config
	faults []EnvFault
	bad    map[string]bool // Variables that didn't parse: what is derived from them isn't judged.
}

func (l *loader) fault(variable, format string, args ...any) {
	l.faults = append(l.faults, EnvFault{variable, fmt.Sprintf(format, args...)})
	l.bad[variable] = true
}

// set reports whether the variable was set by the operator.
func (l *loader) set(variable string) bool { return l.vars[variable] != "" }

// Load reads environ, as os.Environ gives it: of two values of one variable the last counts, an empty one counts as not
// set. It fails with an [EnvError] that lists every fault. It reads no file.
func Load(environ []string) (Config, error) {
	l := &loader{vars: map[string]string{}, bad: map[string]bool{}}
	for _, kv := range environ {
		name, value, ok := strings.Cut(kv, "=")
		if !ok {
			continue
		}
		delete(l.vars, name)
		if value != "" {
			l.vars[name] = value
		}
	}
	l.parse()
	l.unknown()
	l.derive()
	l.check()
	if len(l.faults) > 0 {
		slices.SortStableFunc(l.faults, func(a, b EnvFault) int { return strings.Compare(a.Variable, b.Variable) })
		return Config{}, &EnvError{l.faults}
	}
	return l.cfg, nil
}

// parse fills the struct and turns what caarlos0/env says about fields into faults of variables.
func (l *loader) parse() {
	ours := map[string]string{}
	for name, value := range l.vars {
		if strings.HasPrefix(name, prefix) {
			ours[name] = value
		}
	}
	err := env.ParseWithOptions(&l.cfg, env.Options{Environment: ours})
	if err == nil {
		return
	}
	var all env.AggregateError
	if !errors.As(err, &all) {
		all.Errors = []error{err}
	}
	for _, err := range all.Errors {
		var parse env.ParseError
		if !errors.As(err, &parse) {
			l.fault(prefix+"*", "%v", err)
			continue
		}
		field, _ := reflect.TypeFor[Config]().FieldByName(parse.Name)
		l.fault(field.Tag.Get("env"), "%s", meaning(field.Type, parse.Err))
	}
}

// meaning says what is wrong with a value; the errors of the types of this package say it themselves.
func meaning(t reflect.Type, err error) string {
	switch t.Kind() {
	case reflect.Int:
		return "it is no whole number"
	case reflect.Float64:
		return "it is no number"
	}
	return err.Error()
}

// derive fills in the defaults that depend on other variables.
func (l *loader) derive() {
	c := &l.cfg
	if c.StateDir == "" {
		switch xdg, home := l.vars["XDG_STATE_HOME"], l.vars["HOME"]; {
		case filepath.IsAbs(xdg): // A relative one is to be ignored (XDG Base Directory Specification).
			c.StateDir = filepath.Join(xdg, "sallyport")
		case filepath.IsAbs(home):
			c.StateDir = filepath.Join(home, ".local", "state", "sallyport")
		default:
			l.fault("SALLYPORT_STATE_DIR", "it is not set, and neither XDG_STATE_HOME nor HOME is an absolute path to derive it from")
		}
	} else if !filepath.IsAbs(c.StateDir) {
		l.fault("SALLYPORT_STATE_DIR", "%q is no absolute path", c.StateDir)
	}
	c.StateDir = filepath.Clean(c.StateDir)
	if !l.set("SALLYPORT_SETTLING_TIME") {
		c.SettlingTime = c.TakeoverAfter + c.ExchangeTimeout
	}
	if c.Apply != "" && !l.set("SALLYPORT_REFERENCE_DIRS") {
		dir, err := filepath.Abs(filepath.Dir(c.Apply))
		if err != nil {
			l.fault("SALLYPORT_APPLY", "its directory is unknown; give an absolute path")
		} else if !slices.Contains(c.ReferenceDirs, dir) {
			c.ReferenceDirs = append(c.ReferenceDirs, dir)
		}
	}
	if len(c.CADomains) == 0 {
		c.CADomains = registry.SalesforceSuffixes()
	}
	if name := c.Keyset.Variable; name != "" {
		if !l.set(name) {
			l.fault("SALLYPORT_KEYSET", "the variable %s that it names is not set or empty", name)
		}
		c.Keyset.Inline = secret.NewText(l.vars[name])
	}
}
