package config

import (
	"math"
	"slices"
	"strings"
)

// check judges each value, then values together.
func (l *loader) check() {
	c := &l.cfg
	l.oneOf("SALLYPORT_PLAINTEXT", c.Plaintext, "refuse", "allow")
	l.oneOf("SALLYPORT_LOCAL_CALLERS", c.LocalCallers, "open", "closed")
	l.oneOf("SALLYPORT_IN_DOUBT", c.InDoubt, "ask", "late", "hold", "send")
	l.oneOf("SALLYPORT_EGRESS_ENFORCE", c.EgressEnforce, "exchanges", "all")
	l.oneOf("SALLYPORT_LOG_LEVEL", c.LogLevel, "debug", "info", "warn", "error")
	l.oneOf("SALLYPORT_LOG_FORMAT", c.LogFormat, "text", "json")
	l.positive("SALLYPORT_MAX_EXCHANGES", c.MaxExchanges)
	l.positive("SALLYPORT_MAX_CONNECTIONS", c.MaxConnections)
	if a := c.RefreshAhead; !l.bad["SALLYPORT_REFRESH_AHEAD"] && (math.IsNaN(a) || a <= 0 || a >= 1) {
		l.fault("SALLYPORT_REFRESH_AHEAD", "%v is not between 0 and 1, both excluded", a)
	}
	if c.RedisWait < 0 {
		l.fault("SALLYPORT_REDIS_WAIT", "it is below 0")
	}
	if t := c.AdminToken.Reveal(); strings.ContainsFunc(t, func(r rune) bool { return r <= ' ' || r > '~' }) {
		l.fault("SALLYPORT_ADMIN_TOKEN", "it has a space, a line break or a character that is not ASCII in it; "+
			"it could not stand in a header")
	}
	l.times()
	l.listeners()
	l.pair("SALLYPORT_ADMIN_TLS_CERT", c.AdminTLSCert, "SALLYPORT_ADMIN_TLS_KEY", c.AdminTLSKey)
	l.pair("SALLYPORT_CA_CERT", c.CACert, "SALLYPORT_CA_KEY", c.CAKey)
	if len(c.Resolve) > 0 && c.UpstreamCAFile == "" {
		l.fault("SALLYPORT_RESOLVE", "names may be sent elsewhere for simulators only: set SALLYPORT_UPSTREAM_CA_FILE to "+
			"the simulator's roots, or leave this out")
	}
	if !l.anyBad("SALLYPORT_MAX_REPLAY_BODY", "SALLYPORT_MAX_REPLAY_MEMORY") && c.MaxReplayBody > c.MaxReplayMemory {
		l.fault("SALLYPORT_MAX_REPLAY_BODY", "one body of %d bytes is more than SALLYPORT_MAX_REPLAY_MEMORY allows for all, %d",
			c.MaxReplayBody, c.MaxReplayMemory)
	}
}

func (l *loader) anyBad(variables ...string) bool {
	return slices.ContainsFunc(variables, func(v string) bool { return l.bad[v] })
}

func (l *loader) oneOf(variable, value string, choices ...string) {
	if l.set(variable) && !slices.Contains(choices, value) {
		l.fault(variable, "%q is none of %s", value, strings.Join(choices, ", "))
	}
}

func (l *loader) positive(variable string, n int) {
	if !l.bad[variable] && n <= 0 {
		l.fault(variable, "%d is not above 0", n)
	}
}

// pair wants two files both or neither.
func (l *loader) pair(a, valueA, b, valueB string) {
	if valueA != "" && valueB == "" {
		l.fault(b, "it is missing: %s is set, and one is no use without the other", a)
	}
	if valueB != "" && valueA == "" {
		l.fault(a, "it is missing: %s is set, and one is no use without the other", b)
	}
}

func (l *loader) times() {
	c := &l.cfg
	if !l.anyBad("SALLYPORT_TAKEOVER_AFTER", "SALLYPORT_EXCHANGE_TIMEOUT") && c.TakeoverAfter < 2*c.ExchangeTimeout {
		l.fault("SALLYPORT_TAKEOVER_AFTER", "%v is below twice SALLYPORT_EXCHANGE_TIMEOUT (%v): an exchange that is still "+
			"under way would be taken for dead", c.TakeoverAfter, c.ExchangeTimeout)
	}
	if !l.anyBad("SALLYPORT_TAKEOVER_AFTER", "SALLYPORT_SETTLING_TIME", "SALLYPORT_EXCHANGE_TIMEOUT") && c.SettlingTime < c.TakeoverAfter {
		l.fault("SALLYPORT_SETTLING_TIME", "%v is below SALLYPORT_TAKEOVER_AFTER (%v)", c.SettlingTime, c.TakeoverAfter)
	}
}

func (l *loader) listeners() {
	c := &l.cfg
	tls := false
	for _, at := range c.Listen {
		tls = tls || at.Kind == KindTLS
		if at.Kind == KindPlain && !at.Loopback() && c.Plaintext != "allow" {
			l.fault("SALLYPORT_LISTEN", "%s is not loopback, and passwords would cross the wire in clear: "+
				"use https://%s with SALLYPORT_TLS_CERT and SALLYPORT_TLS_KEY, or set SALLYPORT_PLAINTEXT=allow", at, at.Address)
		}
		if at.Address == string(c.AdminListen) && !strings.HasSuffix(at.Address, ":0") {
			l.fault("SALLYPORT_ADMIN_LISTEN", "%s is the proxy's own listener", c.AdminListen)
		}
	}
	l.pair("SALLYPORT_TLS_CERT", c.TLSCert, "SALLYPORT_TLS_KEY", c.TLSKey)
	switch given := c.TLSCert != "" || c.TLSKey != ""; {
	case tls && !given:
		l.fault("SALLYPORT_TLS_CERT", "SALLYPORT_LISTEN has an https:// listener, which needs SALLYPORT_TLS_CERT and SALLYPORT_TLS_KEY")
	case given && !tls && !l.bad["SALLYPORT_LISTEN"]:
		l.fault("SALLYPORT_TLS_CERT", "no https:// listener in SALLYPORT_LISTEN uses it; write https://ADDR there")
	}
}

// refuse names what is well-formed and not there yet: nothing is read and ignored.
func (l *loader) refuse() {
	const (
		embedded = "this version has the embedded store only; leave it out"
		egress   = "this version does not verify egress addresses yet; leave it out"
		certs    = "this version does not ask clients for certificates yet; leave it out, and give clients a secret"
	)
	for _, no := range []struct{ variable, why string }{
		{"SALLYPORT_STORE", embedded},
		{"SALLYPORT_REDIS_CA_FILE", embedded},
		{"SALLYPORT_REDIS_CERT", embedded},
		{"SALLYPORT_REDIS_KEY", embedded},
		{"SALLYPORT_REDIS_PREFIX", embedded},
		{"SALLYPORT_REDIS_WAIT", embedded},
		{"SALLYPORT_EGRESS_ALLOWED", egress},
		{"SALLYPORT_EGRESS_ECHO_URL", egress},
		{"SALLYPORT_EGRESS_ENFORCE", egress},
		{"SALLYPORT_TLS_CLIENT_CA", certs},
		{"SALLYPORT_TLS_CLIENT_CRL", certs},
	} {
		if l.set(no.variable) && !l.bad[no.variable] {
			l.fault(no.variable, "%s", no.why)
		}
	}
}
