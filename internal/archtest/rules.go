package archtest

// Import paths that several rules name.
const (
	goproxy   = "github.com/elazarl/goproxy"
	goproxies = goproxy + "/..."
	goredis   = "github.com/redis/go-redis/..."
	bbolt     = "go.etcd.io/bbolt/..."
	otelSDK   = "go.opentelemetry.io/otel/sdk/..."
	exporters = "go.opentelemetry.io/otel/exporters/..."
	autoexp   = "go.opentelemetry.io/contrib/exporters/..."
)

// Rules is the import table of the architecture: who must never import whom.
func Rules() []Rule {
	stores := []string{"./tokens/redisstore/...", "./tokens/boltstore/...", "./tokens/journal/..."}
	everyone := []string{"./..."}
	return []Rule{
		{
			Of:      []string{"./tokens"},
			Imports: []string{"net/http", goproxies, goredis, bbolt, otelSDK, exporters, autoexp, "./tokens/..."},
			Why:     "the domain outlives its adapters: it knows no transport, no database and no exporter",
		},
		{
			Of:      []string{"./tokens/..."},
			Imports: []string{"./proxy/...", "./internal/admin/..."},
			Where:   All,
			Why:     "the direction is cmd → proxy → tokens → adapter → network; only tokens, decisions and errors travel up",
		},
		{
			Of:      []string{"./proxy/..."},
			Imports: append([]string{"./tokens/salesforce/...", goredis, bbolt, otelSDK, exporters, autoexp}, stores...),
			Why:     "it forwards; it doesn't know whose tokens they are or where they are kept",
		},
		{
			Of:      stores,
			Imports: append([]string{"./tokens/salesforce/..."}, stores...),
			Where:   All,
			Why:     "adapters do not meet",
		},
		{
			Of:      []string{"./tokens/salesforce/..."},
			Imports: stores,
			Where:   All,
			Why:     "adapters do not meet",
		},
		{
			Of:      []string{"./internal/sfsim/..."},
			Imports: everyone,
			Where:   All,
			Why:     "a judge that shares code with the judged agrees with its mistakes",
		},
		{
			Of:      everyone,
			Except:  []string{"./cmd/...", "./config/...", "./internal/telemetry/..."},
			Imports: []string{"./config/...", "./internal/telemetry/..."},
			Where:   All,
			Why:     "configuration becomes arguments at the door: only cmd reads it and sets up telemetry",
		},
		{
			Of:      everyone,
			Except:  []string{"./proxy/...", "./internal/bench/..."},
			Imports: []string{goproxies},
			Where:   All,
			Why:     "goproxy's traps are fenced in by one package",
		},
		{
			Of:     everyone,
			Except: []string{"./internal/bench/..."},
			Uses: []string{
				goproxy + ".GoproxyCa", goproxy + ".OkConnect", goproxy + ".MitmConnect",
				goproxy + ".HTTPMitmConnect", goproxy + ".RejectConnect",
			},
			Where: All,
			Why:   "the private key of goproxy's CA is public and built into these",
		},
		{
			Of: []string{"./proxy/...", "./tokens", "./tokens/salesforce/..."},
			Uses: []string{
				"net/http.DefaultClient", "net/http.DefaultTransport",
				"net/http.Get", "net/http.Head", "net/http.Post", "net/http.PostForm",
				"net.Dial", "net.DialTimeout", "net.DialTCP", "net.Dialer",
				"crypto/tls.Dial", "crypto/tls.DialWithDialer", "crypto/tls.Dialer",
			},
			Why: "one way out to the Internet, one address: internal/egress",
		},
		{
			Of:     everyone,
			Except: []string{"*test", "./internal/bench/..."},
			Imports: []string{
				"testing/...", "net/http/httptest", "./tokens/tokenstest/...", "./internal/simtest/...",
				"github.com/google/go-cmp/...", "github.com/rogpeppe/go-internal/testscript/...",
				"go.uber.org/goleak/...", "pgregory.net/rapid/...",
			},
			Why: "what only tests need is not shipped",
		},
		{
			Of:    everyone,
			Names: []string{"InsecureSkipVerify"},
			Where: All,
			Why:   "an unverified peer gets a token; trust a CA instead, in tests too",
		},
		{
			Of:    everyone,
			Uses:  []string{"time.Sleep"},
			Where: Tests,
			Why:   "a sleep is a guess: wait for the event, or use testing/synctest",
		},
		{
			Of:    everyone,
			Uses:  []string{"t.Skip", "t.Skipf", "t.SkipNow", "b.Skip", "b.Skipf", "b.SkipNow"},
			Where: All,
			Why:   "a skipped test is green without having run: install what it needs in the Makefile's deps",
		},
	}
}

// Sizes are the house's limits on Go files.
func Sizes() Limits {
	return Limits{Most: 600, Percentile90: 400, Median: 150, Files: map[string]int{"cmd/sallyport/main.go": 60}}
}

// TopDirs are the directories of the top level, no more and no fewer.
func TopDirs() []string { return []string{"cmd", "proxy", "tokens", "config", "deploy", "internal"} }

// TopFiles are the files allowed beside TopDirs; dot files are free.
func TopFiles() []string {
	return []string{"go.mod", "go.sum", "Dockerfile", "README.md", "LICENSE", "Makefile", "CHANGELOG.md"}
}

// TopIgnored are what builds leave behind, which git ignores.
func TopIgnored() []string { return []string{"bin", "dist"} }
