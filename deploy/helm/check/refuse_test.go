package check_test

import (
	"strings"
	"testing"
)

// Each case is a value set with one thing wrong, and what must be said of it:
// what it is, and what to do.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		why, set string
		change   string
		want     []string
	}{
		{"a sidecar with a rotating grant has no Redis", "sidecar-redis", "redis.existingSecret=", []string{"a sidecar with a rotating grant needs Redis", "Set redis.existingSecret"}},
		{"nor has one whose ConfigMap isn't known to have no such grant", "sidecar-client-credentials", "apply.existingConfigMap=mine", []string{"apply.rotatingGrants: false"}},
		{"a value is taken away", "minimal", "apply.resources=null", []string{"missing property 'resources'"}},
		{"a sidecar without Redis has no CA of its own", "sidecar-client-credentials", "ca.existingSecret=", []string{"needs a CA of your own", "Set ca.existingSecret"}},
		{"a sidecar shall scale itself", "sidecar-redis", "autoscaling.enabled=true", []string{"scales with your own Deployment"}},
		{"replicas have no Redis", "minimal", "replicas=2", []string{"replicas > 1 needs Redis", "Set redis.existingSecret, or replicas: 1"}},
		{"an autoscaler has no Redis", "minimal", "autoscaling.enabled=true", []string{"autoscaling.enabled needs Redis"}},
		{"an autoscaler's bounds cross", "gateway-redis", "autoscaling.minReplicas=9", []string{"minReplicas is above"}},
		{"the embedded store has no volume", "minimal", "persistence.enabled=false", []string{"needs a volume", "Set persistence.enabled: true"}},
		{"nobody may use the gateway", "minimal", "apply.resources.clients=[]", []string{"there are no clients", "apply.resources.clients"}},
		{"the listener has neither certificate nor permission", "minimal", "plaintext=false", []string{"needs a certificate", "set tls.existingSecret, or plaintext: true"}},
		{"the listener has both", "gateway-embedded", "plaintext=true", []string{"exclude each other"}},
		{"a plain listener is open to the cluster", "minimal", "networkPolicy.enabled=false", []string{"plaintext: true needs networkPolicy.enabled: true"}},
		{"a plain listener asks for certificates", "minimal", "tls.clientCA.existingSecret=a", []string{"needs tls.existingSecret"}},
		{"Redis can't be reached", "gateway-redis", "networkPolicy.redis.to=[]", []string{"networkPolicy.redis.to is empty", "say where Redis is"}},
		{"replicas have no common keyset", "gateway-redis", "keyset.existingSecret=", []string{"Redis needs keyset.existingSecret", "sallyport keyset new"}},
		{"replicas have no common admin token", "gateway-sentinel", "adminToken.existingSecret=", []string{"Redis needs adminToken.existingSecret", "openssl rand"}},
		{"a certificate toward Redis lacks its key", "gateway-sentinel", "redis.keyKey=", []string{"redis.certKey and redis.keyKey go together"}},
		{"the CA's key would become a ConfigMap", "gateway-redis", "ca.certificate=-----BEGIN EC PRIVATE KEY-----", []string{"ca.certificate holds a private key"}},
		{"trust-manager has nothing to hand out", "gateway-redis", "ca.certificate=", []string{"ca.trustManager.enabled needs ca.certificate"}},
		{"two resources files", "gateway-sentinel", "apply.resources.clients[0].name=a", []string{"exclude each other"}},
		{"a client's secret stands in clear", "minimal", "apply.resources.clients[0].secret=hunter2", []string{"secret of billing stands in clear", "file:/etc/sallyport/secrets/"}},
		{"an app's secret stands in clear", "gateway-embedded", "apply.resources.apps[0].clientSecret=hunter2", []string{"clientSecret of acme-sync stands in clear"}},
		{"a seed stands in clear", "gateway-embedded", "apply.resources.orgs[0].refreshToken=5Aep", []string{"refreshToken of acme-prod stands in clear"}},
		{"a file isn't mounted", "minimal", "secrets[0].keys[0]=other", []string{"secrets mounts no such file", "[{name: SECRET, keys: [KEY]}]"}},
		{"an example has no image", "sidecar-redis", "sidecar.example.image=", []string{"needs sidecar.example.image"}},
		{"an exchange would be taken for dead", "minimal", "settings.SALLYPORT_EXCHANGE_TIMEOUT=2m31s", []string{"(300s) is below twice SALLYPORT_EXCHANGE_TIMEOUT (151s)"}},
		{"a store would settle too soon", "minimal", "settings.SALLYPORT_SETTLING_TIME=4m", []string{"SALLYPORT_SETTLING_TIME (4m) is below"}},
		{"nothing tells the address", "minimal", "settings.SALLYPORT_EGRESS_ALLOWED=203.0.113.7/32", []string{"needs SALLYPORT_EGRESS_ECHO_URL"}},
		{"there is no Redis to have a prefix", "minimal", "settings.SALLYPORT_REDIS_PREFIX=a", []string{"needs redis.existingSecret"}},
		{"two upstream proxies", "gateway-sentinel", "settings.SALLYPORT_EGRESS_PROXY=http://proxy:3128", []string{"exclude each other"}},
		// By the schema.
		{"a value is misspelt", "minimal", "persistences.enabled=false", []string{"persistences"}},
		{"a setting is misspelt", "minimal", "settings.SALLYPORT_DRAIN_TIMOUT=30s", []string{"SALLYPORT_DRAIN_TIMOUT"}},
		{"a setting is the chart's own", "minimal", "settings.SALLYPORT_LISTEN=:8080", []string{"SALLYPORT_LISTEN"}},
		{"a setting comes in by extraEnv", "minimal", "extraEnv[0].name=SALLYPORT_DRAIN_TIMEOUT", []string{"extraEnv/0/name"}},
		{"a duration has no unit", "minimal", "settings.SALLYPORT_DRAIN_TIMEOUT=3600x", []string{"SALLYPORT_DRAIN_TIMEOUT"}},
		{"a proxy's password stands in clear", "minimal", "settings.SALLYPORT_EGRESS_PROXY=http://a:b@proxy:3128", []string{"SALLYPORT_EGRESS_PROXY"}},
		{"there is no such mode", "minimal", "mode=both", []string{"mode"}},
		{"a volume is shared by nodes", "minimal", "persistence.accessModes[0]=ReadWriteMany", []string{"accessModes"}},
		{"memory has no limit", "minimal", "resources.limits.memory=null", []string{"memory"}},
		{"a peer is everybody", "minimal", "networkPolicy.clients[0].podSelector=null", []string{"networkPolicy"}},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			flag := "--set"
			if strings.HasSuffix(c.change, "=[]") {
				flag = "--set-json"
			}
			_, refusal := template(t, chart, "--values", valuesFile(c.set), flag, c.change)
			if refusal == "" {
				t.Fatal("it is rendered")
			}
			for _, want := range c.want {
				if !strings.Contains(refusal, want) {
					t.Errorf("it says nothing of %q:\n%s", want, refusal)
				}
			}
		})
	}
}
