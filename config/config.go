package config

import (
	"time"

	"github.com/sallyport/sallyport/internal/secret"
)

// Config is the environment of `sallyport serve`, validated by [Load]. The tag doc is the meaning in the generated
// table; the tag show is the default in that table where envDefault doesn't say it.
type Config struct {
	// Listen are the proxy's listeners, at least one.
	Listen Listeners `env:"SALLYPORT_LISTEN" envDefault:"127.0.0.1:3128" doc:"a comma-separated list; 'https://ADDR' is the proxy over TLS (HTTP/1.1 only), 'unix:PATH' a socket with mode 0600"`
	// Plaintext is "refuse" or "allow".
	Plaintext string `env:"SALLYPORT_PLAINTEXT" envDefault:"refuse" doc:"'allow': a plain listener that is not loopback (passwords cross the wire in clear; 'doctor' warns)"`
	// TLSCert is the path of the certificate chain of the https:// listeners, PEM.
	TLSCert string `env:"SALLYPORT_TLS_CERT" doc:"certificate chain (PEM file) of the 'https://' listeners"`
	// TLSKey is the path of the key to TLSCert, PEM.
	TLSKey string `env:"SALLYPORT_TLS_KEY" doc:"key (PEM file) of the 'https://' listeners"`
	// TLSClientCA is the path of the roots that clients' certificates are verified with, PEM; empty: none is asked for.
	TLSClientCA string `env:"SALLYPORT_TLS_CLIENT_CA" show:"no certificate is asked for" doc:"certificate authorities (PEM file) for the certificates of clients: the 'https://' listeners ask for one, and a client may use its secret instead; verified on resumption too. Each authority in it may vouch for every client"`
	// TLSClientCRL are paths of revocation lists, PEM or DER. With any, every authority that issues needs one.
	TLSClientCRL Files `env:"SALLYPORT_TLS_CLIENT_CRL" show:"no revocation is known" doc:"revocation lists (PEM or DER files, comma-separated) for 'SALLYPORT_TLS_CLIENT_CA': one of each authority that issues, intermediate ones too; a missing or outdated list refuses that authority's certificates"`
	// LocalCallers is "open", "closed", or empty: open until the first client is ever made.
	LocalCallers string `env:"SALLYPORT_LOCAL_CALLERS" show:"'open' until the first client is ever made, 'closed' from then on, remembered" doc:"'open': a loopback or Unix-socket listener serves any local caller by CONNECT or absolute form for all orgs (the sidecar). 'closed', with no clients: everyone gets 407. Any other listener without clients refuses to start"`

	// AdminListen is the address of the admin listener.
	AdminListen Address `env:"SALLYPORT_ADMIN_LISTEN" envDefault:"127.0.0.1:3129" doc:"health and metrics; '/v1/' too when this is loopback or has 'SALLYPORT_ADMIN_TLS_CERT', 'SALLYPORT_ADMIN_TLS_KEY'"`
	// AdminTLSCert is the path of the admin listener's certificate chain, PEM.
	AdminTLSCert string `env:"SALLYPORT_ADMIN_TLS_CERT" doc:"certificate chain (PEM file) of the admin listener"`
	// AdminTLSKey is the path of the key to AdminTLSCert, PEM.
	AdminTLSKey string `env:"SALLYPORT_ADMIN_TLS_KEY" doc:"key (PEM file) of the admin listener"`
	// AdminToken is the bearer token of /v1/; empty: the one in the state directory.
	AdminToken secret.Text `env:"SALLYPORT_ADMIN_TOKEN" show:"made at first start, in the state directory" doc:"bearer token of '/v1/'; must be set where replicas share a store"`

	// StateDir is an absolute path.
	StateDir string `env:"SALLYPORT_STATE_DIR" show:"'$XDG_STATE_HOME/sallyport', else '~/.local/state/sallyport'" doc:"CA, journal, embedded store, keyset, admin socket and token; 0700; locked: a second process refuses to start. A mount point that sallyport does not own is used through a 0700 directory inside it"`
	// Store is where the replicas' shared store is; the zero value: the embedded one.
	Store StoreURL `env:"SALLYPORT_STORE" show:"the embedded one, in the state directory" doc:"'redis://', 'rediss://', and the two with '+sentinel' or '+cluster' (the suffix is ours, the rest as go-redis parses it); 'file:PATH' holds the URL"`
	// RedisCAFile is the path of the roots for the Redis store, PEM.
	RedisCAFile string `env:"SALLYPORT_REDIS_CA_FILE" show:"system roots" doc:"roots (PEM file) for a Redis store over TLS"`
	// RedisCert is the path of the client certificate for the Redis store, PEM.
	RedisCert string `env:"SALLYPORT_REDIS_CERT" doc:"client certificate (PEM file) for a Redis store over TLS"`
	// RedisKey is the path of the key to RedisCert, PEM.
	RedisKey string `env:"SALLYPORT_REDIS_KEY" doc:"key (PEM file) to 'SALLYPORT_REDIS_CERT'"`
	// RedisPrefix begins every key.
	RedisPrefix string `env:"SALLYPORT_REDIS_PREFIX" envDefault:"sallyport" doc:"keys are 'PREFIX:{org}:…'; deployments that share a Redis need prefixes of their own"`
	// RedisWait is how many replicas of Redis must acknowledge.
	RedisWait int `env:"SALLYPORT_REDIS_WAIT" envDefault:"0" doc:"replicas that must acknowledge an intent and a commit ('WAIT', its count checked)"`
	// Keyset is where the keyset is; the zero value: in the state directory, made at first start.
	Keyset Keyset `env:"SALLYPORT_KEYSET" show:"made at first start for the embedded store" doc:"file path or 'env:NAME'; required with Redis; a sealed canary in the store must open, else the start is refused"`

	// Apply is the path of a resources file; empty: none.
	Apply string `env:"SALLYPORT_APPLY" doc:"a resources file applied at start and when it changes; never prunes"`
	// ReferenceDirs are absolute directories for [ResourceOptions.ReferenceDirs]. By default Apply's own is the last.
	ReferenceDirs Paths `env:"SALLYPORT_REFERENCE_DIRS" envDefault:"/run/secrets,/etc/sallyport" show:"'/run/secrets,/etc/sallyport', the file's own directory" doc:"where 'file:' references of 'SALLYPORT_APPLY' may point"`

	// LockTTL is the life of an org's lock between renewals.
	LockTTL Duration `env:"SALLYPORT_LOCK_TTL" envDefault:"30s" doc:"life of an org's lock between renewals; the embedded store's lock lives as long as the process holds it"`
	// ExchangeTimeout is the longest that a token request may take once its first byte is written.
	ExchangeTimeout Duration `env:"SALLYPORT_EXCHANGE_TIMEOUT" envDefault:"60s" doc:"from the first byte written to the last byte of a token response; generous, since a timeout is a doubt (dialling has a short limit of its own)"`
	// TakeoverAfter is at least twice ExchangeTimeout.
	TakeoverAfter Duration `env:"SALLYPORT_TAKEOVER_AFTER" envDefault:"5m" doc:"from when a replica first saw another's attempt until it may settle it; refused below 2 × exchange timeout"`
	// InDoubt is "ask", "late", "hold" or "send".
	InDoubt string `env:"SALLYPORT_IN_DOUBT" envDefault:"late" doc:"when Salesforce is asked about a doubt: 'ask' (as soon as the takeover wait is over), 'late' (then only when the access token is dead or has under a tenth of its life left, or under two days remain of the refresh token's 30), 'hold' (only on 'grant settle'), 'send' (as 'late', and once more where the protocol allows it)"`
	// InDoubtPause is the time between two introspections.
	InDoubtPause Duration `env:"SALLYPORT_IN_DOUBT_PAUSE" envDefault:"20s" doc:"between the two introspections that settle a doubt"`
	// SettlingTime is at least TakeoverAfter. It has no meaning with the embedded store.
	SettlingTime Duration `env:"SALLYPORT_SETTLING_TIME" show:"takeover wait + exchange timeout" doc:"no exchange begins for this long after the store's identity changed; refused below the takeover wait; none for the embedded store"`
	// MaxExchanges is per grant and hour.
	MaxExchanges int `env:"SALLYPORT_MAX_EXCHANGES" envDefault:"60" doc:"exchanges per grant and hour, beyond which only 'grant refresh' makes one"`
	// RefreshAhead is above 0 and below 1.
	RefreshAhead float64 `env:"SALLYPORT_REFRESH_AHEAD" envDefault:"0.2" doc:"the fraction of an access token's life that is left when its end is looked at"`
	// HeartbeatAfter is the idle time after which a grant is exchanged.
	HeartbeatAfter Duration `env:"SALLYPORT_HEARTBEAT_AFTER" envDefault:"600h" show:"'600h' (25 days)" doc:"an idle grant is exchanged after this long since its last exchange or enrolment, at the latest at 28/25 of it; any duration is accepted"`
	// TokenWait is the longest that a caller waits for a token.
	TokenWait Duration `env:"SALLYPORT_TOKEN_WAIT" envDefault:"30s" doc:"the longest that a caller waits for a token"`

	// UpstreamTimeout lasts to the first byte of an answer.
	UpstreamTimeout Duration `env:"SALLYPORT_UPSTREAM_TIMEOUT" envDefault:"11m" doc:"to the first byte of an answer; streams have none after it"`
	// PassthroughHosts are patterns as registry.CheckPassthrough takes them.
	PassthroughHosts Patterns `env:"SALLYPORT_PASSTHROUGH_HOSTS" show:"empty: none" doc:"'host', '*.host' or '*', each with ':port' (default 443), tunnelled untouched; all else that no org claims is refused. A claim wins over a pattern; a host under a Salesforce suffix is never tunnelled, nor are sallyport's own listeners and store"`
	// PassthroughSourceIPs are the local addresses of tunnels.
	PassthroughSourceIPs Addrs `env:"SALLYPORT_PASSTHROUGH_SOURCE_IPS" doc:"local addresses for tunnels, keeps them off the registered addresses"`
	// AllowAddresses are destinations besides public ones.
	AllowAddresses Prefixes `env:"SALLYPORT_ALLOW_ADDRESSES" show:"public addresses only" doc:"destination CIDRs allowed besides public ones (the SSRF guard, on the resolved address)"`
	// Resolve overrides the resolution of names.
	Resolve Mappings `env:"SALLYPORT_RESOLVE" doc:"'host:port=addr:port' list, for simulators; refused unless 'SALLYPORT_UPSTREAM_CA_FILE' is set"`
	// UpstreamCAFile is the path of the roots for Salesforce, PEM; empty: the system's.
	UpstreamCAFile string `env:"SALLYPORT_UPSTREAM_CA_FILE" show:"system roots" doc:"roots for Salesforce: test doubles, inspecting middleboxes"`
	// EgressSourceIPs are the local addresses of outbound connections.
	EgressSourceIPs Addrs `env:"SALLYPORT_EGRESS_SOURCE_IPS" show:"the kernel's choice" doc:"local addresses that outbound connections are bound to; each org gets one of them and keeps it"`
	// EgressAllowed are the registered addresses; with any, EgressEchoURL is set too.
	EgressAllowed Ranges `env:"SALLYPORT_EGRESS_ALLOWED" doc:"the addresses registered with Salesforce, as CIDRs or 'start-end'; needs 'SALLYPORT_EGRESS_ECHO_URL'"`
	// EgressEchoURL are where the own address is asked for.
	EgressEchoURL EchoURLs `env:"SALLYPORT_EGRESS_ECHO_URL" doc:"HTTPS, answers the caller's address as text or JSON 'ip'; several, comma-separated"`
	// EgressEnforce is "exchanges" or "all".
	EgressEnforce string `env:"SALLYPORT_EGRESS_ENFORCE" envDefault:"exchanges" doc:"'exchanges': no refresh token, code or introspection leaves from an address that is not verified; 'all': API calls neither"`
	// EgressProxy is an upstream proxy; the zero value: none.
	EgressProxy ProxyURL `env:"SALLYPORT_EGRESS_PROXY" doc:"an upstream proxy ('http://' or 'https://') for outbound connections; its own address is exempt from the guard, and through it names are judged, not addresses"`

	// CACert is the path of the interception CA, PEM.
	CACert string `env:"SALLYPORT_CA_CERT" show:"made at first start" doc:"bring your own CA: its certificate (PEM file)"`
	// CAKey is the path of the key to CACert, PEM.
	CAKey string `env:"SALLYPORT_CA_KEY" show:"made at first start" doc:"bring your own CA: its key (PEM file)"`
	// CADomains are lower-case names, Salesforce's suffixes by default.
	CADomains Domains `env:"SALLYPORT_CA_DOMAINS" show:"Salesforce's suffixes" doc:"the CA's name constraint"`

	// MaxReplayBody is in bytes, at most MaxReplayMemory.
	MaxReplayBody ByteSize `env:"SALLYPORT_MAX_REPLAY_BODY" envDefault:"1MiB" doc:"how much of one body is kept so that a refused request can be sent again"`
	// MaxReplayMemory is in bytes.
	MaxReplayMemory ByteSize `env:"SALLYPORT_MAX_REPLAY_MEMORY" envDefault:"64MiB" doc:"how much of all bodies is kept so that refused requests can be sent again"`
	// MaxConnections is the number of client connections.
	MaxConnections int `env:"SALLYPORT_MAX_CONNECTIONS" envDefault:"20000" doc:"client connections; heads are at most 64 KiB in 10 s, handshakes 10 s, idle tunnels 10 min"`
	// DrainTimeout is how long SIGTERM waits.
	DrainTimeout Duration `env:"SALLYPORT_DRAIN_TIMEOUT" envDefault:"30s" doc:"how long SIGTERM waits for requests and tunnels; an exchange under way and an uncommitted journal entry are waited for beyond it, up to the exchange timeout + 10 s"`
	// LogLevel is "debug", "info", "warn" or "error".
	LogLevel string `env:"SALLYPORT_LOG_LEVEL" envDefault:"info" doc:"'debug', 'info', 'warn' or 'error'"`
	// LogFormat is "text", "json", or empty: text on a terminal, else json.
	LogFormat string `env:"SALLYPORT_LOG_FORMAT" show:"'text' on a terminal, else 'json'" doc:"slog; the access log is written in batches"`
}

// Duration is a duration above zero.
type Duration time.Duration

// D returns it as a time.Duration.
func (d Duration) D() time.Duration { return time.Duration(d) }
