{{/*
What would lose a grant, a secret or a start is refused here, before anything
is installed. Every template that makes a pod or a listener includes this.
*/}}
{{- define "sallyport.refuse" -}}
{{- $v := .Values -}}
{{- $redis := $v.redis.existingSecret -}}
{{- if eq $v.mode "sidecar" -}}
  {{- if and (not $redis) (include "sallyport.rotates" .) -}}
    {{- fail "a sidecar with a rotating grant needs Redis: each pod would exchange the same single-use refresh token. Set redis.existingSecret, or use mode: gateway, or give its orgs grant: client_credentials (apply.rotatingGrants: false where the ConfigMap is your own)" -}}
  {{- end -}}
  {{- if and (not $redis) (not $v.ca.existingSecret) -}}
    {{- fail "a sidecar without Redis needs a CA of your own: each pod would make another one that nobody trusts. Set ca.existingSecret, or redis.existingSecret" -}}
  {{- end -}}
  {{- if $v.autoscaling.enabled -}}
    {{- fail "autoscaling.enabled is for mode: gateway: a sidecar scales with your own Deployment" -}}
  {{- end -}}
{{- else -}}
  {{- if and (not $redis) (gt (int $v.replicas) 1) -}}
    {{- fail "replicas > 1 needs Redis: replicas with embedded stores would exchange the same refresh token. Set redis.existingSecret, or replicas: 1" -}}
  {{- end -}}
  {{- if and (not $redis) $v.autoscaling.enabled -}}
    {{- fail "autoscaling.enabled needs Redis: replicas with embedded stores would exchange the same refresh token. Set redis.existingSecret, or autoscaling.enabled: false" -}}
  {{- end -}}
  {{- if gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas) -}}
    {{- fail "autoscaling.minReplicas is above autoscaling.maxReplicas" -}}
  {{- end -}}
  {{- if and (not $redis) (not $v.persistence.enabled) -}}
    {{- fail "the embedded store needs a volume: grants, keyset and CA would go with the pod. Set persistence.enabled: true, or redis.existingSecret" -}}
  {{- end -}}
  {{- if and (not $v.apply.existingConfigMap) (not $v.apply.resources.clients) -}}
    {{- fail "there are no clients, and the listener is not loopback: name at least one in apply.resources.clients (or in a ConfigMap, apply.existingConfigMap), or use mode: sidecar" -}}
  {{- end -}}
  {{- if and (not $v.tls.existingSecret) (not $v.plaintext) -}}
    {{- fail "the gateway's listener needs a certificate, since clients' passwords cross the network: set tls.existingSecret, or plaintext: true where only the NetworkPolicy's clients can listen" -}}
  {{- end -}}
  {{- if and $v.tls.existingSecret $v.plaintext -}}
    {{- fail "tls.existingSecret and plaintext: true exclude each other: the one listener is with TLS or without" -}}
  {{- end -}}
  {{- if and $v.plaintext (not $v.networkPolicy.enabled) -}}
    {{- fail "plaintext: true needs networkPolicy.enabled: true: anyone in the cluster could reach the listener" -}}
  {{- end -}}
  {{- if and $v.tls.clientCA.existingSecret (not $v.tls.existingSecret) -}}
    {{- fail "tls.clientCA.existingSecret needs tls.existingSecret: only a listener with TLS asks for certificates" -}}
  {{- end -}}
  {{- if and $redis $v.networkPolicy.enabled (not $v.networkPolicy.redis.to) -}}
    {{- fail "networkPolicy.redis.to is empty: say where Redis is, as [{podSelector: {matchLabels: {app: redis}}}], or networkPolicy.enabled: false" -}}
  {{- end -}}
{{- end -}}
{{- if $redis -}}
  {{- if not $v.keyset.existingSecret -}}
    {{- fail "Redis needs keyset.existingSecret, one keyset for all replicas: sallyport keyset new > keyset.json, then kubectl create secret generic sallyport-keyset --from-file=keyset.json" -}}
  {{- end -}}
  {{- if not $v.adminToken.existingSecret -}}
    {{- fail "Redis needs adminToken.existingSecret, one admin token for all replicas: openssl rand -hex 32 | tr -d '\\n' | kubectl create secret generic sallyport-admin --from-file=token=/dev/stdin" -}}
  {{- end -}}
  {{- if ne (empty $v.redis.certKey) (empty $v.redis.keyKey) -}}
    {{- fail "redis.certKey and redis.keyKey go together: a certificate is no use without its key" -}}
  {{- end -}}
{{- end -}}
{{- if contains "PRIVATE KEY" $v.ca.certificate -}}
  {{- fail "ca.certificate holds a private key: it becomes a ConfigMap that clients read. Give the certificate alone; the key belongs into ca.existingSecret" -}}
{{- end -}}
{{- if and $v.ca.trustManager.enabled (not $v.ca.certificate) -}}
  {{- fail "ca.trustManager.enabled needs ca.certificate: sallyport ca export prints it" -}}
{{- end -}}
{{- include "sallyport.refuse.settings" . -}}
{{- include "sallyport.refuse.resources" . -}}
{{- end -}}

{{/* What serve would refuse at its start, which would stop a rolling update halfway. */}}
{{- define "sallyport.refuse.settings" -}}
{{- $s := .Values.settings -}}
{{- $exchange := include "sallyport.seconds" (default "60s" $s.SALLYPORT_EXCHANGE_TIMEOUT) | int -}}
{{- $takeover := include "sallyport.seconds" (default "5m" $s.SALLYPORT_TAKEOVER_AFTER) | int -}}
{{- if lt $takeover (mul 2 $exchange | int) -}}
  {{- fail (printf "settings.SALLYPORT_TAKEOVER_AFTER (%ds) is below twice SALLYPORT_EXCHANGE_TIMEOUT (%ds): an exchange that is still under way would be taken for dead. Raise the one or lower the other" $takeover $exchange) -}}
{{- end -}}
{{- with $s.SALLYPORT_SETTLING_TIME -}}
  {{- if lt (include "sallyport.seconds" . | int) $takeover -}}
    {{- fail (printf "settings.SALLYPORT_SETTLING_TIME (%s) is below SALLYPORT_TAKEOVER_AFTER (%ds): raise it, or leave it out" . $takeover) -}}
  {{- end -}}
{{- end -}}
{{- if and $s.SALLYPORT_EGRESS_ALLOWED (not $s.SALLYPORT_EGRESS_ECHO_URL) -}}
  {{- fail "settings.SALLYPORT_EGRESS_ALLOWED needs SALLYPORT_EGRESS_ECHO_URL: without an echo nothing tells whether it holds" -}}
{{- end -}}
{{- if not .Values.redis.existingSecret -}}
  {{- range list "SALLYPORT_REDIS_PREFIX" "SALLYPORT_REDIS_WAIT" -}}
    {{- if hasKey $s . -}}{{- fail (printf "settings.%s needs redis.existingSecret: set it, or leave this out" .) -}}{{- end -}}
  {{- end -}}
{{- end -}}
{{- if and $s.SALLYPORT_EGRESS_PROXY .Values.egressProxy.existingSecret -}}
  {{- fail "settings.SALLYPORT_EGRESS_PROXY and egressProxy.existingSecret exclude each other" -}}
{{- end -}}
{{- end -}}

{{/* Secrets in clear, and references to files that aren't there. */}}
{{- define "sallyport.refuse.resources" -}}
{{- $v := .Values -}}
{{- if and $v.apply.existingConfigMap (or $v.apply.resources.apps $v.apply.resources.orgs $v.apply.resources.clients) -}}
  {{- fail "apply.existingConfigMap and apply.resources exclude each other: one file is applied" -}}
{{- end -}}
{{- $mounted := dict -}}
{{- range $s := $v.secrets -}}
  {{- range .keys -}}
    {{- $_ := set $mounted (printf "/etc/sallyport/secrets/%s/%s" $s.name .) true -}}
  {{- end -}}
{{- end -}}
{{- range $field, $list := dict "clientSecret" $v.apply.resources.apps "refreshToken" $v.apply.resources.orgs "secret" $v.apply.resources.clients -}}
  {{- range $list -}}
    {{- $value := get . $field | toString -}}
    {{- if and (hasKey . $field) (not (regexMatch "^(file|env):." $value)) -}}
      {{- fail (printf "%s of %s stands in clear and would become a ConfigMap: put it into a Secret that secrets lists, and write file:/etc/sallyport/secrets/SECRET/KEY" $field .name) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- range concat $v.apply.resources.apps $v.apply.resources.orgs $v.apply.resources.clients -}}
  {{- $name := .name -}}
  {{- range $field, $value := . -}}
    {{- if and (kindIs "string" $value) (hasPrefix "file:" $value) -}}
      {{- $path := trimPrefix "file:" $value -}}
      {{- if not (isAbs $path) -}}{{- $path = printf "/etc/sallyport/%s" $path -}}{{- end -}}
      {{- if and (hasPrefix "/etc/sallyport/" (clean $path)) (not (hasKey $mounted (clean $path))) -}}
        {{- fail (printf "%s of %s is %s, and secrets mounts no such file: add its Secret and key there, as [{name: SECRET, keys: [KEY]}]" $field $name $value) -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end -}}
