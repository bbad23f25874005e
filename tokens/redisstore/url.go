package redisstore

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// What a connection is given where the URL says nothing.
const (
	dialTimeout = 2 * time.Second
	readTimeout = 3 * time.Second
)

// ours are go-redis' options of a URL that are not the operator's: each would
// weaken what this package promises.
var ours = []string{
	"skip_verify", "protocol", "max_retries", "max_redirects", "context_timeout_enabled",
	"read_only", "replica_only", "use_disconnected_replicas", "route_by_latency", "route_by_latency_tolerance", "route_randomly",
}

// dialled is a client of any kind. Commands go to the node that has the key.
type dialled struct {
	alone   *redis.Client // or the one that asks the Sentinels
	cluster *redis.ClusterClient
	tls     bool
	read    time.Duration // the longest wait for an answer
}

// urlError quotes nothing of the URL, which may hold a password, in whatever
// part of it a password with an odd sign has ended up.
func urlError(format string, args ...any) error {
	return fmt.Errorf("redisstore: %w: %s", ErrURL, fmt.Sprintf(format, args...))
}

// dial makes the client that the URL asks for. Nothing is connected yet.
func dial(raw string, conf *tls.Config) (dialled, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	base, kind, _ := strings.Cut(scheme, "+")
	if !ok || base != "redis" && base != "rediss" || !slices.Contains([]string{"redis", "rediss", base + "+sentinel", base + "+cluster"}, scheme) {
		return dialled{}, urlError("it is none of redis://, rediss://, and the two with +sentinel or +cluster")
	}
	u, err := url.Parse(base + "://" + rest)
	if err != nil {
		return dialled{}, urlError("it can't be read as a URL: percent-encode what is special in the password, and check host and port")
	}
	q := u.Query()
	for _, name := range ours {
		if q.Has(name) {
			return dialled{}, urlError("the option %s is not taken", name)
		}
	}
	if conf != nil && base != "rediss" {
		return dialled{}, urlError("TLS is configured, and the URL is in clear: write rediss")
	}
	d := dialled{tls: base == "rediss"}
	switch kind {
	case "sentinel":
		err = d.dialSentinel(u.String(), conf)
	case "cluster":
		err = d.dialCluster(u.String(), conf)
	default:
		err = d.dialAlone(u.String(), conf)
	}
	return d, err
}

// secure is conf for a server whose certificate must name host, or, where host
// is empty, the address that is dialled.
func secure(conf *tls.Config, host string) *tls.Config {
	if conf == nil {
		conf = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	conf = conf.Clone()
	conf.MinVersion = max(conf.MinVersion, tls.VersionTLS12)
	if conf.ServerName == "" {
		conf.ServerName = host
	}
	return conf
}

const optionHint = "an option, the path or the database isn't one that go-redis knows; percent-encode what is special in the password"

// either is v, or d where v is unset.
func either(v, d time.Duration) time.Duration {
	if v == 0 {
		return d
	}
	return v
}

func (d *dialled) dialAlone(u string, conf *tls.Config) error {
	o, err := redis.ParseURL(u)
	if err != nil {
		return urlError(optionHint)
	}
	if d.tls {
		o.TLSConfig = secure(conf, o.TLSConfig.ServerName)
	}
	// RESP2: nothing of ours needs pushes, and nothing else reads the stream.
	o.Protocol, o.MaxRetries, o.ContextTimeoutEnabled, o.DisableIdentity = 2, -1, true, true
	o.DialerRetries, o.PipelinePoolSize = 1, -1
	o.DialTimeout, o.ReadTimeout = either(o.DialTimeout, dialTimeout), either(o.ReadTimeout, readTimeout)
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	d.alone, d.read = redis.NewClient(o), o.ReadTimeout
	d.alone.AddHook(dialHook{})
	return nil
}

func (d *dialled) dialSentinel(u string, conf *tls.Config) error {
	o, err := redis.ParseFailoverURL(u)
	switch {
	case err != nil:
		return urlError(optionHint)
	case o.MasterName == "":
		return urlError("with +sentinel it needs master_name=NAME")
	}
	if d.tls {
		o.TLSConfig = secure(conf, "")
	}
	o.Protocol, o.MaxRetries, o.ContextTimeoutEnabled, o.DisableIdentity = 2, -1, true, true
	o.DialerRetries, o.PipelinePoolSize = 1, -1
	o.DialTimeout, o.ReadTimeout = either(o.DialTimeout, dialTimeout), either(o.ReadTimeout, readTimeout)
	d.alone, d.read = redis.NewFailoverClient(o), o.ReadTimeout
	d.alone.AddHook(dialHook{})
	return nil
}

func (d *dialled) dialCluster(u string, conf *tls.Config) error {
	o, err := redis.ParseClusterURL(u)
	if err != nil {
		return urlError(optionHint)
	}
	if d.tls {
		o.TLSConfig = secure(conf, "")
	}
	o.Protocol, o.MaxRetries, o.MaxRedirects, o.ContextTimeoutEnabled, o.DisableIdentity = 2, -1, -1, true, true
	o.DialerRetries, o.PipelinePoolSize = 1, -1
	o.DialTimeout, o.ReadTimeout = either(o.DialTimeout, dialTimeout), either(o.ReadTimeout, readTimeout)
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	d.cluster, d.read = redis.NewClusterClient(o), o.ReadTimeout
	d.cluster.OnNewNode(func(c *redis.Client) { c.AddHook(dialHook{}) })
	return nil
}
