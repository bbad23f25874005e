{{/*
For a Deployment of your own; README.md, "Sidecar", shows it whole. In a chart
that has this one as a dependency, the context is .Subcharts.sallyport.
*/}}

{{/* An item of spec.initContainers: starts before your containers, stops after them. */}}
{{- define "sallyport.sidecar.container" -}}
{{- include "sallyport.refuse" . -}}
- name: sallyport
  restartPolicy: Always
  {{- include "sallyport.container" . | nindent 2 }}
{{- end -}}

{{/* Items of spec.volumes: the sidecar's own, and the public CA. */}}
{{- define "sallyport.sidecar.volumes" -}}
{{- include "sallyport.volumes" . }}
- name: sallyport-ca
  {{- /* A CA that sallyport makes is there after the first start only. */}}
  configMap: {name: {{ .Values.ca.configMap | quote }}, optional: {{ not .Values.ca.certificate }}}
{{- end -}}

{{/* Items of your container's env: as `sallyport env --k8s` prints them. */}}
{{- define "sallyport.sidecar.env" -}}
{{- $s := .Values.sidecar -}}
{{- $at := "http://127.0.0.1:3128" -}}
{{- $bundle := "/etc/sallyport-trust/bundle.pem" -}}
{{- $ca := ternary $bundle "/etc/sallyport-trust/sallyport-ca.pem" .Values.ca.trustManager.enabled -}}
{{- if not (or .Values.ca.bundle .Values.ca.trustManager.enabled) -}}{{- $bundle = $ca -}}{{- end -}}
{{- with $s.client -}}
{{- $at = printf "http://%s:$(SALLYPORT_CLIENT_SECRET)@127.0.0.1:3128" . -}}
- name: SALLYPORT_CLIENT_SECRET
  valueFrom: {secretKeyRef: {name: {{ default (printf "sallyport-%s" (splitList "+" . | first)) $s.clientSecret.name | quote }}, key: {{ $s.clientSecret.key | quote }}}}
{{ end -}}
- {name: HTTPS_PROXY, value: {{ $at | quote }}}
- {name: https_proxy, value: {{ $at | quote }}}
- {name: NO_PROXY, value: "localhost,127.0.0.1,::1"}
- {name: no_proxy, value: "localhost,127.0.0.1,::1"}
- {name: NODE_EXTRA_CA_CERTS, value: {{ $ca }}}
- {name: NODE_USE_ENV_PROXY, value: "1"}
{{- range list "CURL_CA_BUNDLE" "REQUESTS_CA_BUNDLE" "SSL_CERT_FILE" "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH" }}
- {name: {{ . }}, value: {{ $bundle }}}
{{- end }}
{{- end -}}

{{/* An item of your container's volumeMounts. */}}
{{- define "sallyport.sidecar.volumeMounts" -}}
- {name: sallyport-ca, mountPath: /etc/sallyport-trust, readOnly: true}
{{- end -}}

{{/* spec.terminationGracePeriodSeconds: your containers stop first, then the sidecar drains. */}}
{{- define "sallyport.sidecar.graceSeconds" -}}
{{- add .Values.sidecar.appGraceSeconds (include "sallyport.graceSeconds" .) -}}
{{- end -}}

{{/* Labels and annotations of your pods: by the label they are found by the PodMonitor. */}}
{{- define "sallyport.sidecar.labels" -}}
sallyport.io/sidecar: {{ include "sallyport.fullname" . | quote }}
{{- end -}}
{{- define "sallyport.sidecar.annotations" -}}
{{- include "sallyport.annotations" . }}
{{- end -}}
