{{/* What gateway and sidecar have in common: environment, mounts, volumes, probes, rights. */}}

{{/* The environment of serve. Every secret is a file, but for two variables that take none. */}}
{{- define "sallyport.env" -}}
{{- $v := .Values -}}
- {name: SALLYPORT_STATE_DIR, value: /var/lib/sallyport}
{{- if eq $v.mode "sidecar" }}
- {name: SALLYPORT_LISTEN, value: "127.0.0.1:3128"}
- {name: SALLYPORT_LOCAL_CALLERS, value: {{ ternary "closed" "open" (not (empty $v.sidecar.client)) }}}
{{- else if $v.plaintext }}
- {name: SALLYPORT_LISTEN, value: ":3128"}
- {name: SALLYPORT_PLAINTEXT, value: allow}
{{- else }}
- {name: SALLYPORT_LISTEN, value: "https://:3128"}
- {name: SALLYPORT_TLS_CERT, value: /etc/sallyport-tls/tls.crt}
- {name: SALLYPORT_TLS_KEY, value: /etc/sallyport-tls/tls.key}
{{- if $v.tls.clientCA.existingSecret }}
- {name: SALLYPORT_TLS_CLIENT_CA, value: {{ printf "/etc/sallyport-tls/clients/%s" $v.tls.clientCA.key | quote }}}
{{- with $v.tls.clientCA.crlKeys }}
{{- $paths := list }}
{{- range . }}{{ $paths = append $paths (printf "/etc/sallyport-tls/clients/%s" .) }}{{ end }}
- {name: SALLYPORT_TLS_CLIENT_CRL, value: {{ join "," $paths | quote }}}
{{- end }}
{{- end }}
{{- end }}
{{- /* Without TLS and not loopback it serves health and metrics, and nothing of /v1/. */}}
- {name: SALLYPORT_ADMIN_LISTEN, value: ":3129"}
{{- if $v.redis.existingSecret }}
- {name: SALLYPORT_STORE, value: {{ printf "file:/etc/sallyport-redis/%s" $v.redis.urlKey | quote }}}
{{- with $v.redis.caKey }}
- {name: SALLYPORT_REDIS_CA_FILE, value: {{ printf "/etc/sallyport-redis/%s" . | quote }}}
{{- end }}
{{- with $v.redis.certKey }}
- {name: SALLYPORT_REDIS_CERT, value: {{ printf "/etc/sallyport-redis/%s" . | quote }}}
- {name: SALLYPORT_REDIS_KEY, value: {{ printf "/etc/sallyport-redis/%s" $v.redis.keyKey | quote }}}
{{- end }}
{{- end }}
{{- if $v.keyset.existingSecret }}
- {name: SALLYPORT_KEYSET, value: {{ printf "/etc/sallyport-keyset/%s" $v.keyset.key | quote }}}
{{- end }}
{{- with $v.adminToken.existingSecret }}
- name: SALLYPORT_ADMIN_TOKEN
  valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: {{ $v.adminToken.key | quote }}}}
{{- end }}
{{- if include "sallyport.applies" . }}
- {name: SALLYPORT_APPLY, value: /etc/sallyport/resources.yaml}
{{- end }}
{{- if $v.ca.existingSecret }}
- {name: SALLYPORT_CA_CERT, value: /etc/sallyport-ca/tls.crt}
- {name: SALLYPORT_CA_KEY, value: /etc/sallyport-ca/tls.key}
{{- end }}
{{- if $v.upstreamCA.existingConfigMap }}
- {name: SALLYPORT_UPSTREAM_CA_FILE, value: {{ printf "/etc/sallyport-upstream/%s" $v.upstreamCA.key | quote }}}
{{- end }}
{{- with $v.egressProxy.existingSecret }}
- name: SALLYPORT_EGRESS_PROXY
  valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: {{ $v.egressProxy.key | quote }}}}
{{- end }}
{{- range $name, $value := $v.settings }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- with include "sallyport.goMemLimit" . }}
- {name: GOMEMLIMIT, value: {{ . }}}
{{- end }}
{{- with $v.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "sallyport.mounts" -}}
{{- $v := .Values -}}
- {name: sallyport-state, mountPath: /var/lib/sallyport}
{{- if or (include "sallyport.applies" .) $v.secrets }}
- {name: sallyport-config, mountPath: /etc/sallyport, readOnly: true}
{{- end }}
{{- if $v.tls.existingSecret }}{{ if eq $v.mode "gateway" }}
- {name: sallyport-tls, mountPath: /etc/sallyport-tls, readOnly: true}
{{- end }}{{ end }}
{{- if $v.redis.existingSecret }}
- {name: sallyport-redis, mountPath: /etc/sallyport-redis, readOnly: true}
{{- end }}
{{- if $v.keyset.existingSecret }}
- {name: sallyport-keyset, mountPath: /etc/sallyport-keyset, readOnly: true}
{{- end }}
{{- if $v.ca.existingSecret }}
- {name: sallyport-ca-key, mountPath: /etc/sallyport-ca, readOnly: true}
{{- end }}
{{- if $v.upstreamCA.existingConfigMap }}
- {name: sallyport-upstream, mountPath: /etc/sallyport-upstream, readOnly: true}
{{- end }}
{{- with $v.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
Volumes but for the gateway's state, which is a claim. Secrets are root's: a
pod of ours reads them by its fsGroup (0440), a sidecar in a pod of yours by
0444, in a volume that no other container mounts.
*/}}
{{- define "sallyport.volumes" -}}
{{- $v := .Values -}}
{{- $mode := ternary "0444" "0440" (eq $v.mode "sidecar") -}}
{{- if or (eq $v.mode "sidecar") (not $v.persistence.enabled) }}
{{- /* In memory, so that sallyport knows that its journal goes with the pod, and leaves each answer in Redis, too, before it is read. */}}
- name: sallyport-state
  emptyDir: {medium: Memory, sizeLimit: 64Mi}
{{- end }}
{{- if or (include "sallyport.applies" .) $v.secrets }}
{{- /* One volume: a Secret that changes has the resources file read again. */}}
- name: sallyport-config
  projected:
    defaultMode: {{ $mode }}
    sources:
{{- if include "sallyport.applies" . }}
      - configMap:
          name: {{ include "sallyport.resourcesName" . | quote }}
          items: [{key: resources.yaml, path: resources.yaml}]
{{- end }}
{{- range $s := $v.secrets }}
      - secret:
          name: {{ $s.name | quote }}
          items:
{{- range .keys }}
            - {key: {{ . | quote }}, path: {{ printf "secrets/%s/%s" $s.name . | quote }}}
{{- end }}
{{- end }}
{{- end }}
{{- if $v.tls.existingSecret }}{{ if eq $v.mode "gateway" }}
- name: sallyport-tls
  projected:
    defaultMode: {{ $mode }}
    sources:
      - secret:
          name: {{ $v.tls.existingSecret | quote }}
          items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]
{{- with $v.tls.clientCA }}{{ if .existingSecret }}
      - secret:
          name: {{ .existingSecret | quote }}
          items:
{{- range prepend .crlKeys .key }}
            - {key: {{ . | quote }}, path: {{ printf "clients/%s" . | quote }}}
{{- end }}
{{- end }}{{ end }}
{{- end }}{{ end }}
{{- range $volume, $secret := dict "sallyport-redis" $v.redis.existingSecret "sallyport-keyset" $v.keyset.existingSecret "sallyport-ca-key" $v.ca.existingSecret }}
{{- with $secret }}
- name: {{ $volume }}
  secret: {secretName: {{ . | quote }}, defaultMode: {{ $mode }}}
{{- end }}
{{- end }}
{{- with $v.upstreamCA.existingConfigMap }}
- name: sallyport-upstream
  configMap: {name: {{ . | quote }}}
{{- end }}
{{- with $v.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Image, rights, probes and stopping of the container. */}}
{{- define "sallyport.container" -}}
image: {{ include "sallyport.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [serve]
env:
  {{- include "sallyport.env" . | nindent 2 }}
ports:
  - {name: sallyport, containerPort: 3128}
  - {name: sallyport-admin, containerPort: 3129}
volumeMounts:
  {{- include "sallyport.mounts" . | nindent 2 }}
{{- /* The journal and the store are opened, and Redis is waited for, before this answers. */}}
startupProbe:
  httpGet: {path: /healthz, port: sallyport-admin}
  periodSeconds: 2
  failureThreshold: 90
  timeoutSeconds: 3
{{- /* Alive with its store away, and while it drains: only a process that hangs is killed. */}}
livenessProbe:
  httpGet: {path: /healthz, port: sallyport-admin}
  periodSeconds: 10
  failureThreshold: 6
  timeoutSeconds: 5
readinessProbe:
  httpGet: {path: /readyz, port: sallyport-admin}
  periodSeconds: 5
  failureThreshold: 2
  timeoutSeconds: 3
{{- /* A sidecar stands behind no Service that must forget it first. */}}
{{- if and (eq .Values.mode "gateway") .Values.preStopSeconds }}
lifecycle:
  preStop: {sleep: {seconds: {{ .Values.preStopSeconds }}}}
{{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* A change of these is not read again by a running process: it restarts pods. */}}
{{- define "sallyport.annotations" -}}
checksum/ca: {{ .Values.ca.certificate | sha256sum }}
{{- with .Values.podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end -}}
