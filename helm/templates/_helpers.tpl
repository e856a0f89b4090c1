{{- define "self-service-agent.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "self-service-agent.service" -}}
ref:
  apiVersion: v1
  kind: Service
  name: {{ .name }}
uri: {{ .uri }}
{{- end }}
