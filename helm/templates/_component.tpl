{{- /* All objects of one component: (dict "root" $ "name" "request-manager" "values" .Values.requestManager "port" 8080). */ -}}
{{- define "ssa.component" -}}
{{- $root := .root }}
{{- $values := include "ssa.values" . | fromYaml }}
{{- $isScaled := or $values.autoscaling.hpa.enabled $values.autoscaling.keda.enabled }}
{{- $name := include "ssa.name" . }}
{{- $account := $values.serviceAccount.name | default $name }}
{{- $settings := mergeOverwrite (include (printf "ssa.settings.%s" .name) . | fromYaml) $values.settings }}
{{- $secrets := include (printf "ssa.secrets.%s" .name) . | fromYaml }}
{{- $mayMigrate := and (eq .root.Values.migrations.mode "init") (ne .name "servicenow-mcp") }}
{{- $sendsToken := hasKey $settings "BROKER_TOKEN_FILE" }}
{{- $asksCluster := hasKey $settings "EVENTS_OIDC_TOKEN_FILE" }}
{{- if $values.serviceAccount.create }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $account }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "ssa.componentLabels" . | nindent 4 }}
  {{- with $values.serviceAccount.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
---
{{- end }}
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "ssa.componentLabels" . | nindent 4 }}
spec:
  selector:
    {{- include "ssa.selector" . | nindent 4 }}
  ports:
    {{- if has .name (list "request-manager" "agent-service" "integration-dispatcher") }}
    - {name: http, port: 80, targetPort: http}
    {{- end }}
    - {name: http-{{ .port }}, port: {{ .port }}, targetPort: http}
    - {name: metrics, port: 9090, targetPort: metrics}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "ssa.componentLabels" . | nindent 4 }}
spec:
  {{- if not $isScaled }}
  replicas: {{ $values.replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
  selector:
    matchLabels:
      {{- include "ssa.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "ssa.selector" . | nindent 8 }}
        {{- with $values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        kubectl.kubernetes.io/default-container: {{ .name }}
        checksum/settings: {{ $settings | toJson | sha256sum }}
        {{- with $values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ $account }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      {{- include "ssa.pullSecrets" .root | nindent 6 }}
      terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
      securityContext:
        {{- toYaml $values.podSecurityContext | nindent 8 }}
      {{- if $mayMigrate }}
      initContainers:
        - {{- include "ssa.migration" .root | nindent 10 }}
      {{- end }}
      containers:
        - name: {{ .name }}
          image: {{ include "ssa.image" (dict "root" .root "image" $values.image) }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          ports:
            - {name: http, containerPort: {{ .port }}}
            - {name: metrics, containerPort: 9090}
          env:
            {{- range $setting, $value := $settings }}
            - {name: {{ $setting }}, value: {{ $value | toString | quote }}}
            {{- end }}
            {{- with $values.extraEnv }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          {{- with $values.extraEnvFrom }}
          envFrom:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          startupProbe:
            httpGet: {path: /livez, port: http}
            periodSeconds: 2
            timeoutSeconds: 5
            failureThreshold: {{ $values.startupFailures }}
          livenessProbe:
            httpGet: {path: /livez, port: http}
            periodSeconds: 10
            timeoutSeconds: 10
            failureThreshold: 6
          readinessProbe:
            httpGet: {path: /readyz, port: http}
            periodSeconds: 5
            timeoutSeconds: 5
            failureThreshold: 2
          lifecycle:
            preStop:
              sleep: {seconds: {{ $values.preStopSeconds }}}
          securityContext:
            {{- toYaml $values.securityContext | nindent 12 }}
          resources:
            {{- toYaml $values.resources | nindent 12 }}
          volumeMounts:
            {{- include "ssa.secretMount" . | nindent 12 }}
            - {name: tmp, mountPath: /tmp}
            {{- if $sendsToken }}
            - {name: broker-token, mountPath: /run/broker-token, readOnly: true}
            {{- end }}
            {{- if $asksCluster }}
            - {name: cluster, mountPath: /run/cluster, readOnly: true}
            {{- end }}
            {{- with $values.extraVolumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
        {{- with $values.extraContainers }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      volumes:
        {{- include "ssa.secretVolume" (merge (dict "root" .root) $secrets) | nindent 8 }}
        - name: tmp
          emptyDir: {sizeLimit: 256Mi}
        {{- if $sendsToken }}
        - name: broker-token
          projected:
            sources:
              - serviceAccountToken: {audience: {{ .root.Values.eventing.oidc.brokerAudience }}, expirationSeconds: 3600, path: token}
        {{- end }}
        {{- if $asksCluster }}
        - name: cluster
          projected:
            sources:
              - serviceAccountToken: {expirationSeconds: 3600, path: token}
              - configMap:
                  name: kube-root-ca.crt
                  items: [{key: ca.crt, path: ca.crt}]
        {{- end }}
        {{- with $values.extraVolumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with $values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      topologySpreadConstraints:
        {{- if $values.topologySpreadConstraints }}
        {{- toYaml $values.topologySpreadConstraints | nindent 8 }}
        {{- else }}
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "ssa.selector" . | nindent 14 }}
        {{- end }}
{{- include "ssa.scaling" (dict "root" .root "name" .name "port" .port "queue" .queue "fullname" $name "values" $values) }}
{{- end }}
