{{- define "ssa.fullname" -}}
{{- .Values.fullnameOverride | default .Release.Name -}}
{{- end }}

{{- /* (dict "root" $ "name" "request-manager") → the name of its objects */ -}}
{{- define "ssa.name" -}}
{{- include "ssa.fullname" .root }}-{{ .name -}}
{{- end }}

{{- define "ssa.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{- define "ssa.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "ssa.componentLabels" -}}
{{ include "ssa.labels" .root }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{- /* (dict "root" $ "image" image-values): a digest wins over tags */ -}}
{{- define "ssa.image" -}}
{{- with .root.Values.global.imageRegistry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- .image.repository -}}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ .image.tag | default .root.Values.image.tag | default .root.Chart.AppVersion }}{{ end -}}
{{- end }}

{{- define "ssa.pullSecrets" -}}
{{- with .Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* The values of a component: those of `defaults`, and its own over them, as YAML. */ -}}
{{- define "ssa.values" -}}
{{- mergeOverwrite (deepCopy .root.Values.defaults) (deepCopy .values) | toYaml -}}
{{- end }}

{{- define "ssa.url" -}}
http://{{ include "ssa.name" . }}:{{ .port }}
{{- end }}

{{- /* The settings that are secrets, as files: (dict "root" $ "required" list "optional" list). A missing one of the required keeps the pod from starting, and its event names the key. */ -}}
{{- define "ssa.secretVolume" -}}
{{- $keys := .root.Values.secretKeys }}
{{- $name := .root.Values.existingSecret }}
- name: secrets
  projected:
    defaultMode: 0444
    sources:
      - secret:
          name: {{ $name }}
          items:
            {{- range .required }}
            - {key: {{ get $keys . | default . }}, path: {{ . }}}
            {{- end }}
      {{- with .optional }}
      - secret:
          name: {{ $name }}
          optional: true
          items:
            {{- range . }}
            - {key: {{ get $keys . | default . }}, path: {{ . }}}
            {{- end }}
      {{- end }}
{{- end }}

{{- define "ssa.secretMount" -}}
- {name: secrets, mountPath: /run/secrets/self-service-agent, readOnly: true}
{{- end }}

{{- define "ssa.brokerName" -}}
{{- .Values.eventing.broker.existing | default (include "ssa.fullname" .) -}}
{{- end }}

{{- define "ssa.brokerUrl" -}}
{{- .Values.eventing.broker.url | default (printf "http://kafka-broker-ingress.knative-eventing.svc.cluster.local/%s/%s" .Release.Namespace (include "ssa.brokerName" .)) -}}
{{- end }}

{{- /* Events may come by network only when the policy lets nobody else through. */ -}}
{{- define "ssa.kafkaServers" -}}
{{- if .Values.strimzi.enabled }}{{ .Values.strimzi.name }}-kafka-bootstrap.{{ .Release.Namespace }}:9092{{ else }}{{ .Values.eventing.broker.kafka.bootstrapServers }}{{ end -}}
{{- end }}

{{- /* What people and providers may reach from outside. Never /events or /dead-letters. */ -}}
{{- define "ssa.publicPaths" -}}
request-manager: {port: 8080, paths: [/api/v1, /openapi.json]}
integration-dispatcher: {port: 8082, paths: [/slack, /email, /sms]}
{{- end }}

{{- define "ssa.migration" -}}
name: migrate
image: {{ include "ssa.image" (dict "root" . "image" .Values.migrations.image) }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  - {name: SECRETS_DIR, value: /run/secrets/self-service-agent}
securityContext:
  {{- toYaml .Values.defaults.securityContext | nindent 2 }}
resources:
  {{- toYaml .Values.migrations.resources | nindent 2 }}
volumeMounts:
  {{- include "ssa.secretMount" . | nindent 2 }}
  - {name: tmp, mountPath: /tmp}
{{- end }}
