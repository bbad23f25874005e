package config

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
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
	l.store()
	if len(c.EgressAllowed) > 0 && len(c.EgressEchoURL) == 0 && !l.bad["SALLYPORT_EGRESS_ECHO_URL"] {
		l.fault("SALLYPORT_EGRESS_ECHO_URL", "it is missing: without an echo nothing tells whether SALLYPORT_EGRESS_ALLOWED holds")
	}
	if l.set("SALLYPORT_EGRESS_ENFORCE") && len(c.EgressAllowed) == 0 && !l.anyBad("SALLYPORT_EGRESS_ALLOWED", "SALLYPORT_EGRESS_ENFORCE") {
		l.fault("SALLYPORT_EGRESS_ENFORCE", "there is nothing to enforce: set SALLYPORT_EGRESS_ALLOWED, or leave this out")
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

// store checks what a shared store needs, and that nothing of it is set without one.
func (l *loader) store() {
	c := &l.cfg
	l.pair("SALLYPORT_REDIS_CERT", c.RedisCert, "SALLYPORT_REDIS_KEY", c.RedisKey)
	if l.bad["SALLYPORT_STORE"] {
		return
	}
	if c.Store.IsZero() {
		for _, v := range []string{"SALLYPORT_REDIS_CA_FILE", "SALLYPORT_REDIS_CERT", "SALLYPORT_REDIS_KEY", "SALLYPORT_REDIS_PREFIX", "SALLYPORT_REDIS_WAIT"} {
			if l.set(v) && !l.bad[v] {
				l.fault(v, "there is no Redis store: set SALLYPORT_STORE, or leave this out")
			}
		}
		return
	}
	if !validPrefix.MatchString(c.RedisPrefix) {
		l.fault("SALLYPORT_REDIS_PREFIX", "it is not 1 to 64 letters, digits and .:_-")
	}
	if c.Keyset.IsZero() && !l.bad["SALLYPORT_KEYSET"] {
		l.fault("SALLYPORT_KEYSET", "replicas that share a store need one keyset: make it once with sallyport keyset new, and give it to each")
	}
	if c.AdminToken.IsZero() && !l.bad["SALLYPORT_ADMIN_TOKEN"] {
		l.fault("SALLYPORT_ADMIN_TOKEN", "replicas that share a store need one admin token: set it to a long random text")
	}
	if !l.bad["SALLYPORT_LOCK_TTL"] && c.LockTTL.D() < time.Second {
		l.fault("SALLYPORT_LOCK_TTL", "%v is below 1s: a lock would be lost by every pause", c.LockTTL.D())
	}
}

// validPrefix keeps a key's hash tag, which is in braces, the only one.
var validPrefix = regexp.MustCompile(`^[A-Za-z0-9.:_-]{1,64}$`)

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
	if c.TLSClientCA != "" && !tls && !l.bad["SALLYPORT_LISTEN"] {
		l.fault("SALLYPORT_TLS_CLIENT_CA", "no https:// listener in SALLYPORT_LISTEN asks for certificates; write https://ADDR there, or leave this out")
	}
	if len(c.TLSClientCRL) > 0 && c.TLSClientCA == "" {
		l.fault("SALLYPORT_TLS_CLIENT_CRL", "there are no certificates to revoke: set SALLYPORT_TLS_CLIENT_CA, or leave this out")
	}
}
