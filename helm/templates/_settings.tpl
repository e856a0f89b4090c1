{{- /* The settings (environment variables) of each program, as YAML maps. A test compares them with the programs' own classes. */ -}}

{{- define "ssa.processSettings" -}}
PROFILE: {{ .root.Values.profile }}
HOST: 0.0.0.0
PORT: {{ .port | quote }}
METRICS_PORT: "9090"
LOG_LEVEL: {{ .root.Values.logLevel }}
LOG_FORMAT: json
SECRETS_DIR: /run/secrets/self-service-agent
{{- with .root.Values.otlpEndpoint }}
OTEL_EXPORTER_OTLP_ENDPOINT: {{ . | quote }}
{{- end }}
{{- end }}

{{- define "ssa.serviceSettings" -}}
{{- $root := .root }}
{{- include "ssa.processSettings" . }}
{{- with .root.Values.database }}
{{- if .useRoles }}
DATABASE_ROLE: ssa_{{ $.name | replace "-" "_" }}
{{- end }}
DATABASE_POOL_SIZE: {{ .poolSize | quote }}
DATABASE_STATEMENT_CACHE: {{ .statementCache | quote }}
{{- end }}
REQUEST_MANAGER_URL: {{ include "ssa.url" (dict "root" .root "name" "request-manager" "port" 8080) }}
AGENT_SERVICE_URL: {{ include "ssa.url" (dict "root" .root "name" "agent-service" "port" 8081) }}
INTEGRATION_DISPATCHER_URL: {{ include "ssa.url" (dict "root" .root "name" "integration-dispatcher" "port" 8082) }}
EVENTING_ENABLED: {{ .root.Values.eventing.enabled | quote }}
{{- with .root.Values.eventing }}
{{- if .enabled }}
BROKER_URL: {{ include "ssa.brokerUrl" $root | quote }}
EVENTS_AUTH: {{ .auth }}
{{- if eq .auth "oidc" }}
EVENTS_OIDC_ISSUER: {{ .oidc.issuer | quote }}
EVENTS_OIDC_AUDIENCE: {{ .oidc.audience | quote }}
EVENTS_OIDC_SUBJECTS: {{ .oidc.subjects | quote }}
{{- $isCluster := regexMatch "^https://kubernetes[.]default[.]svc([.:/]|$)" .oidc.issuer }}
{{- /* The API server's discovery document names an address of its own, which is not the issuer's. */ -}}
{{- with .oidc.jwksUrl | default (ternary (printf "%s/openid/v1/jwks" (trimSuffix "/" .oidc.issuer)) "" $isCluster) }}
EVENTS_OIDC_JWKS_URL: {{ . | quote }}
{{- end }}
{{- if $isCluster }}
EVENTS_OIDC_CA_FILE: /run/cluster/ca.crt
EVENTS_OIDC_TOKEN_FILE: /run/cluster/token
{{- end }}
{{- end }}
{{- if .oidc.brokerAudience }}
BROKER_TOKEN_FILE: /run/broker-token/token
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "ssa.settings.request-manager" -}}
{{- include "ssa.serviceSettings" . }}
{{- with .root.Values.oidc }}
{{- if .issuer }}
OIDC_ISSUER: {{ .issuer | quote }}
OIDC_AUDIENCE: {{ .audience | quote }}
OIDC_ROLES_CLAIM: {{ .rolesClaim | quote }}
OIDC_JWKS_URL: {{ .jwksUrl | quote }}
OIDC_TRUST_EMAIL: {{ .trustEmail | quote }}
{{- end }}
BOOTSTRAP_ADMIN: {{ .bootstrapAdmin | quote }}
{{- end }}
{{- end }}

{{- define "ssa.settings.agent-service" -}}
{{- include "ssa.serviceSettings" . }}
{{- $mcp := .root.Values.mcpServers }}
{{- $servers := dict "servicenow" "" }}
{{- if $mcp.servicenow.enabled }}
{{- $_ := set $servers "servicenow" (printf "%s/mcp" (include "ssa.url" (dict "root" .root "name" "servicenow-mcp" "port" 8090))) }}
{{- end }}
LLAMA_STACK_URL: {{ .root.Values.llamaStack.url | quote }}
LLAMA_STACK_MODEL: {{ .root.Values.llamaStack.model | quote }}
LLAMA_STACK_SESSIONS: {{ .root.Values.llamaStack.sessions }}
EMBEDDINGS_URL: {{ .root.Values.embeddings.url | quote }}
EMBEDDINGS_MODEL: {{ .root.Values.embeddings.model | quote }}
MCP_SERVERS: {{ mergeOverwrite $servers (deepCopy $mcp.external) | toJson | quote }}
{{- end }}

{{- define "ssa.settings.integration-dispatcher" -}}
{{- include "ssa.serviceSettings" . }}
PUBLIC_URL: {{ .root.Values.publicUrl | quote }}
WEBHOOK_ALLOWED_HOSTS: {{ .root.Values.integrationDispatcher.webhookAllowedHosts | quote }}
WEBHOOK_ALLOWED_NETWORKS: {{ .root.Values.integrationDispatcher.webhookAllowedNetworks | quote }}
{{- with .root.Values.integrations }}
{{- with .email.smtp }}
{{- if .host }}
SMTP_HOST: {{ .host | quote }}
SMTP_PORT: {{ .port | quote }}
SMTP_TLS: {{ .tls }}
SMTP_FROM: {{ .from | quote }}
{{- end }}
{{- end }}
{{- with .email.imap }}
{{- if .host }}
IMAP_HOST: {{ .host | quote }}
IMAP_PORT: {{ .port | quote }}
IMAP_TLS: {{ .tls }}
IMAP_FOLDER: {{ .folder | quote }}
{{- if hasPrefix "https://" $.root.Values.publicUrl }}
EMAIL_LINKS_URL: {{ $.root.Values.publicUrl | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- with .email.trustedAuthservId }}
EMAIL_TRUSTED_AUTHSERV_ID: {{ . | quote }}
{{- end }}
{{- with .sms }}
{{- if .accountSid }}
SMS_ACCOUNT_SID: {{ .accountSid | quote }}
SMS_FROM: {{ .from | quote }}
SMS_CALLBACK_URL: {{ .callbackUrl | quote }}
{{- with .apiUrl }}
SMS_API_URL: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "ssa.settings.servicenow-mcp" -}}
{{- include "ssa.processSettings" . }}
{{- with .root.Values.mcpServers.servicenow }}
SERVICENOW_INSTANCE_URL: {{ .instanceUrl | quote }}
SERVICENOW_AUTH_TYPE: {{ .authType }}
SERVICENOW_LAPTOP_REFRESH_ID: {{ .laptopRefreshId | quote }}
{{- end }}
{{- end }}

{{- /* Which settings are keys of existingSecret: required, and optional ones. */ -}}
{{- define "ssa.secrets.request-manager" -}}
required: [DATABASE_URL, SERVICE_TOKEN_KEY]
optional: [DATABASE_LISTEN_URL]
{{- end }}

{{- define "ssa.secrets.agent-service" -}}
required: [DATABASE_URL, SERVICE_TOKEN_KEY, IDENTITY_SIGNING_KEY]
optional: [DATABASE_LISTEN_URL, LLAMA_STACK_API_KEY, EMBEDDINGS_API_KEY]
{{- end }}

{{- define "ssa.secrets.integration-dispatcher" -}}
{{- $needed := list "DATABASE_URL" "SERVICE_TOKEN_KEY" "SECRETS_KEY" }}
{{- with .root.Values.integrations }}
{{- if .slack.enabled }}{{ $needed = append $needed "SLACK_BOT_TOKEN" | concat (list (ternary "SLACK_APP_TOKEN" "SLACK_SIGNING_SECRET" .slack.socketMode)) }}{{ end }}
{{- if and .email.smtp.host .email.smtp.auth }}{{ $needed = concat $needed (list "SMTP_USERNAME" "SMTP_PASSWORD") }}{{ end }}
{{- if .email.imap.host }}{{ $needed = concat $needed (list "IMAP_USERNAME" "IMAP_PASSWORD") }}{{ end }}
{{- if .sms.accountSid }}{{ $needed = append $needed "SMS_AUTH_TOKEN" }}{{ end }}
{{- end }}
required: {{ sortAlpha $needed | toJson }}
optional: [DATABASE_LISTEN_URL, SECRETS_PREVIOUS_KEYS]
{{- end }}

{{- define "ssa.secrets.servicenow-mcp" -}}
{{- $auth := .root.Values.mcpServers.servicenow.authType }}
{{- if eq $auth "api_key" }}
required: [IDENTITY_PUBLIC_KEY, SERVICENOW_API_KEY]
{{- else if eq $auth "basic" }}
required: [IDENTITY_PUBLIC_KEY, SERVICENOW_USERNAME, SERVICENOW_PASSWORD]
{{- else }}
required: [IDENTITY_PUBLIC_KEY, SERVICENOW_CLIENT_ID, SERVICENOW_CLIENT_SECRET]
{{- end }}
{{- end }}
