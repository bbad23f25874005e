package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/boltstore"
	"github.com/sallyport/sallyport/tokens/redisstore"
)

// store is all that a process keeps outside of itself and its journal.
type store interface {
	tokens.Store
	tokens.Claims
	tokens.History
	registry.Store
	metaStore
	List(ctx context.Context, org tokens.OrgID, after time.Time, n int) ([]tokens.Exchange, error)
	Close() error
}

// embeddedFile is the embedded store's name in the state directory.
const embeddedFile = "store.db"

// openEmbedded opens the store of the state directory.
func openEmbedded(state stateDir) (*boltstore.Store, error) {
	s, err := boltstore.Open(boltstore.Options{Path: state.path(embeddedFile)})
	if errors.Is(err, boltstore.ErrLocked) {
		return nil, misconfigured("another sallyport serves from %s: stop it, or set SALLYPORT_STATE_DIR to a directory of its own", state)
	} else if err != nil {
		return nil, fmt.Errorf("the embedded store: %w", err)
	}
	return s, nil
}

// holdsGrants reports whether the state directory's embedded store, if there is
// one, holds a grant that only it knows.
func holdsGrants(ctx context.Context, state stateDir) (held bool, err error) {
	if _, err := os.Stat(state.path(embeddedFile)); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	s, err := openEmbedded(state)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	for r, err := range s.All(ctx) {
		if err != nil || r.SingleUse && len(r.Refresh) > 0 {
			return true, err
		}
	}
	return false, nil
}

// redisOptions are the options of the shared store that c names.
func redisOptions(c config.Config) (redisstore.Options, error) {
	o := redisstore.Options{URL: c.Store.URL.Reveal(), Prefix: c.RedisPrefix, Wait: c.RedisWait, LockTTL: c.LockTTL.D()}
	if c.Store.File != "" {
		b, err := readPrivate(c.Store.File)
		if err != nil {
			return o, misconfigured("SALLYPORT_STORE: %w", err)
		}
		o.URL = strings.TrimSpace(string(b))
		if err := config.CheckStoreURL(o.URL); err != nil {
			return o, misconfigured("SALLYPORT_STORE: what %s holds: %w", c.Store.File, err)
		}
	}
	if !strings.HasPrefix(o.URL, "rediss") {
		if c.RedisCAFile != "" || c.RedisCert != "" {
			return o, misconfigured("SALLYPORT_REDIS_CA_FILE and SALLYPORT_REDIS_CERT are for a store over TLS: write rediss:// in SALLYPORT_STORE, or leave them out")
		}
		return o, nil
	}
	o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if c.RedisCAFile != "" {
		pem, err := os.ReadFile(c.RedisCAFile)
		if err != nil {
			return o, misconfigured("SALLYPORT_REDIS_CA_FILE: %w", err)
		}
		o.TLS.RootCAs = x509.NewCertPool()
		if !o.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return o, misconfigured("SALLYPORT_REDIS_CA_FILE: %s holds no PEM certificate", c.RedisCAFile)
		}
	}
	if c.RedisCert != "" {
		if _, err := readPrivate(c.RedisKey); err != nil {
			return o, misconfigured("SALLYPORT_REDIS_KEY: %w", err)
		}
		pair, err := tls.LoadX509KeyPair(c.RedisCert, c.RedisKey)
		if err != nil {
			return o, misconfigured("SALLYPORT_REDIS_CERT: %w", err)
		}
		o.TLS.Certificates = []tls.Certificate{pair}
	}
	return o, nil
}

// openShared opens the shared store, and waits for it while it is away: alive,
// and not ready.
func (a *app) openShared(ctx context.Context) (*redisstore.Store, error) {
	switch held, err := holdsGrants(ctx, a.state); {
	case err != nil:
		return nil, err
	case held:
		return nil, misconfigured("the embedded store in %s holds grants that the shared store doesn't know: run sallyport store move first", a.state)
	}
	o, err := redisOptions(a.c)
	if err != nil {
		return nil, err
	}
	o.Replica, o.Sealer, o.Logger = a.journal.Replica(), a.keys, a.log
	s, err := redisstore.Open(ctx, o)
	if err == nil || !errors.Is(err, redisstore.ErrUnavailable) {
		return s, storeFault(err)
	}
	leave, werr := a.waitingRoom("the store isn't to be had: " + err.Error())
	if werr != nil {
		return nil, werr
	}
	defer leave()
	a.log.Error("the store isn't to be had: waiting for it", "error", err)
	for {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil, fmt.Errorf("stopped while the store was away: %w", err)
		}
		if s, err = redisstore.Open(ctx, o); err == nil || !errors.Is(err, redisstore.ErrUnavailable) {
			return s, storeFault(err)
		}
	}
}

// storeFault is err where another try fails the same way.
func storeFault(err error) error {
	if errors.Is(err, redisstore.ErrURL) || errors.Is(err, redisstore.ErrDenied) {
		return misconfigured("SALLYPORT_STORE: %w", err)
	}
	return err
}

// waitingRoom answers health checks while nothing can be served yet.
func (a *app) waitingRoom(why string) (leave func(), err error) {
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: admin.Waiting(why)}
	l, err := a.listenAdmin()
	if err != nil {
		return nil, err
	}
	gone := make(chan struct{})
	go func() { // ends with leave
		defer close(gone)
		_ = server.Serve(l) // ErrServerClosed, or nobody can ask
	}()
	return func() {
		_ = server.Close() // a health check that is cut asks again
		<-gone
	}, nil
}
