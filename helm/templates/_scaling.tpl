{{- /* Autoscaler and disruption budget of a component. KEDA reads the age of `queue` from the metrics port: every replica tells that of the whole queue. */ -}}
{{- define "ssa.scaling" -}}
{{- $hpa := .values.autoscaling.hpa }}
{{- $keda := .values.autoscaling.keda }}
{{- if $hpa.enabled }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ .fullname }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "ssa.componentLabels" . | nindent 4 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ .fullname }}}
  minReplicas: {{ $hpa.minReplicas }}
  maxReplicas: {{ $hpa.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: {{ $hpa.targetCPU }}}
  behavior:
    {{- include "ssa.scalingBehavior" . | nindent 4 }}
{{- end }}
{{- if $keda.enabled }}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ .fullname }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "ssa.componentLabels" . | nindent 4 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ .fullname }}}
  minReplicaCount: {{ $keda.minReplicas }}
  maxReplicaCount: {{ $keda.maxReplicas }}
  pollingInterval: 15
  fallback: {failureThreshold: 4, replicas: {{ $keda.minReplicas }}, behavior: currentReplicasIfHigher}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        {{- include "ssa.scalingBehavior" . | nindent 8 }}
  triggers:
    - type: metrics-api
      metricType: Value
      metadata:
        url: http://{{ .fullname }}.{{ .root.Release.Namespace }}.svc:9090/metrics
        format: prometheus
        valueLocation: ssa_queue_due_age_seconds{queue="{{ .queue }}"}
        targetValue: {{ $keda.targetAgeSeconds | quote }}
{{- end }}
{{- $least := .values.replicas }}
{{- if $hpa.enabled }}{{ $least = $hpa.minReplicas }}{{ end }}
{{- if $keda.enabled }}{{ $least = $keda.minReplicas }}{{ end }}
{{- if and .values.pdb.enabled (ge (int $least) 2) }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .fullname }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "ssa.componentLabels" . | nindent 4 }}
spec:
  maxUnavailable: {{ .values.pdb.maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "ssa.selector" . | nindent 6 }}
{{- end }}
{{- end }}

{{- define "ssa.scalingBehavior" -}}
scaleUp:
  stabilizationWindowSeconds: 0
  policies:
    - {type: Percent, value: 100, periodSeconds: 30}
    - {type: Pods, value: 2, periodSeconds: 30}
  selectPolicy: Max
scaleDown:
  stabilizationWindowSeconds: 300
  policies:
    - {type: Pods, value: 1, periodSeconds: 60}
{{- end }}
