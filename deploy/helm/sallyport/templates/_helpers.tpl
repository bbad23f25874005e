{{/* Names and labels. */}}
{{- define "sallyport.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 47 characters: the StatefulSet puts a hash of ten behind it, the Service a word. */}}
{{- define "sallyport.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 47 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "sallyport.name" . -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 47 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "sallyport.selectorLabels" -}}
app.kubernetes.io/name: {{ include "sallyport.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sallyport.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
{{ include "sallyport.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "sallyport.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "sallyport.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "sallyport.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The resources file's ConfigMap. */}}
{{- define "sallyport.resourcesName" -}}
{{- default (printf "%s-resources" (include "sallyport.fullname" .)) .Values.apply.existingConfigMap -}}
{{- end -}}

{{/* Whether there is a resources file: "true" or nothing. */}}
{{- define "sallyport.applies" -}}
{{- with .Values.apply -}}
{{- if or .existingConfigMap .resources.apps .resources.orgs .resources.clients -}}true{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whether some org's refresh token is single-use: "true" or nothing. */}}
{{- define "sallyport.rotates" -}}
{{- with .Values.apply -}}
{{- if .existingConfigMap -}}
{{- if .rotatingGrants -}}true{{- end -}}
{{- else -}}
{{- range .resources.orgs -}}
{{- if ne (default "refresh_token" .grant) "client_credentials" -}}true{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A Go duration in whole seconds, rounded up. values.schema.json lets these units through only. */}}
{{- define "sallyport.seconds" -}}
{{- $units := dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 -}}
{{- $total := 0.0 -}}
{{- range regexFindAll "[0-9]+(\\.[0-9]+)?(ms|s|m|h)" . -1 -}}
{{- $total = addf $total (mulf (regexFind "^[0-9.]+" . | float64) (get $units (regexFind "[a-z]+$" .))) -}}
{{- end -}}
{{- ceil $total | int -}}
{{- end -}}

{{/*
Seconds from the pod's deletion until a kill can hurt nothing: preStop, the
drain, an exchange that is under way with the 10 s that serve adds to it, 5 s
for the last telemetry, and 10 s of slack.
*/}}
{{- define "sallyport.graceSeconds" -}}
{{- $drain := include "sallyport.seconds" (default "30s" .Values.settings.SALLYPORT_DRAIN_TIMEOUT) -}}
{{- $exchange := include "sallyport.seconds" (default "60s" .Values.settings.SALLYPORT_EXCHANGE_TIMEOUT) -}}
{{- add .Values.preStopSeconds $drain $exchange 25 -}}
{{- end -}}

{{/* Four fifths of the memory limit as GOMEMLIMIT, nothing where it isn't in Mi or Gi. A state directory in memory counts to the same limit. */}}
{{- define "sallyport.goMemLimit" -}}
{{- $limit := dig "limits" "memory" "" .Values.resources | toString -}}
{{- if regexMatch "^[0-9]+[MG]i$" $limit -}}
{{- $mib := mul (regexFind "^[0-9]+" $limit) (ternary 1024 1 (hasSuffix "Gi" $limit)) -}}
{{- printf "%dMiB" (div (mul $mib 4) 5) -}}
{{- end -}}
{{- end -}}
