package check_test

import (
	"fmt"
	"net/url"
	"testing"
)

func secretsOf(t *testing.T, store string, tls, ca authority) contents {
	t.Helper()
	keyset, failure := run(t, nil, *binary, "keyset", "new")
	if failure != "" {
		t.Fatal(failure)
	}
	listener := tls.pair(t)
	return contents{
		"sallyport-tls":       {"tls.crt": listener.certificate, "tls.key": listener.key},
		"sallyport-client-ca": {"ca.crt": newAuthority(t).certificate},
		"sallyport-redis":     {"url": []byte(store), "ca.crt": tls.certificate},
		"sallyport-keyset":    {"keyset.json": []byte(keyset)},
		"sallyport-admin":     {"token": []byte("0123456789abcdef0123456789abcdef")},
		"sallyport-ca-key":    {"tls.crt": ca.certificate, "tls.key": ca.key},
		"acme-sync":           {"client-id": []byte("3MVG9"), "client-secret": []byte("app-secret"), "refresh-token": []byte("5Aep861")},
		"billing-proxy":       {"secret": []byte("first-secret-of-billing")},
		"sallyport-billing":   {"secret": []byte("first-secret-of-billing")},
	}
}

// alone is for a Redis without replicas.
const alone = "settings.SALLYPORT_REDIS_WAIT=0"

var billing = url.UserPassword("billing", "first-secret-of-billing")

// On a volume that the kubelet made, with Secrets that it mounted: it starts,
// knows its clients, takes over a rotated Secret without a restart, drains, and
// starts again on the same volume.
func TestAGatewayStarts(t *testing.T) {
	t.Parallel()
	authority := newAuthority(t)
	all := renderSet(t, "gateway-embedded", "--set", nowhere)
	p := pods(t, all)[0]
	k := newKubelet(t, all, secretsOf(t, "", authority, newAuthority(t)))
	c := k.start(t, p)
	k.ready(t, p, c)
	k.calls(t, billing, authority.certificate, 403)
	k.calls(t, url.UserPassword("billing", "wrong"), authority.certificate, 407)
	ca := k.export(t, p)

	second := url.UserPassword("billing", "second-secret-of-billing")
	k.secrets["billing-proxy"]["secret"] = []byte("second-secret-of-billing")
	other := newAuthority(t)
	listener := other.pair(t)
	k.secrets["sallyport-tls"] = map[string][]byte{"tls.crt": listener.certificate, "tls.key": listener.key}
	k.mount(t, p)
	eventually(t, "the rotated secret and certificate", func() error {
		got, err := k.connect(second, other.certificate)
		if err == nil && got != 403 {
			return fmt.Errorf("the proxy answers %d", got)
		}
		return err
	})
	c.stop(t)

	c = k.start(t, p)
	k.ready(t, p, c)
	k.calls(t, second, other.certificate, 403)
	if k.export(t, p) != ca {
		t.Error("after a restart on its volume it has another CA")
	}
	c.stop(t)
}

// Replicas share a Redis over TLS and a CA from outside. One is scaled in, and
// out again on the claim that it left.
func TestReplicasStart(t *testing.T) {
	t.Parallel()
	authority, ca := newAuthority(t), newAuthority(t)
	secrets := secretsOf(t, redis(t, authority), authority, ca)
	all := renderSet(t, "gateway-redis", "--set", nowhere, "--set-string", alone)
	p := pods(t, all)[0]
	zero, one := newKubelet(t, all, secrets), newKubelet(t, all, secrets)
	first := zero.start(t, p)
	zero.ready(t, p, first)
	for range 2 {
		c := one.start(t, p)
		one.ready(t, p, c)
		one.calls(t, billing, authority.certificate, 403)
		if got := one.export(t, p); got != string(ca.certificate) {
			t.Errorf("the CA is\n%s", got)
		}
		c.stop(t)
	}
	zero.calls(t, billing, authority.certificate, 403)
	first.stop(t)
}

func TestSidecarsStart(t *testing.T) {
	t.Parallel()
	authority, ca := newAuthority(t), newAuthority(t)
	for _, c := range []struct {
		set, store string
		args       []string
		app        *url.Userinfo
		stranger   int
	}{
		{"sidecar-redis", redis(t, authority), []string{"--set-string", alone}, billing, 407},
		{"sidecar-client-credentials", "", nil, nil, 403}, // whoever is in the pod
	} {
		all := renderSet(t, c.set, append(c.args, "--set", nowhere)...)
		p := pods(t, all)[0]
		k := newKubelet(t, all, secretsOf(t, c.store, authority, ca))
		running := k.start(t, p)
		k.ready(t, p, running)
		k.calls(t, c.app, nil, 403)
		k.calls(t, nil, nil, c.stranger)
		k.export(t, p)
		running.stop(t)
	}
}
