{{/* The services: their ports, whom they ask (docs/architecture.md), and the secrets that they have besides all others. */}}
{{- define "latchkey.services" -}}
auth: {port: 5001, asks: [license], files: [master_key, admin_secret]}
license: {port: 5002, asks: [auth, admin], files: [master_key]}
analytics: {port: 5003, asks: [auth], files: []}
admin: {port: 5004, asks: [auth, license, analytics], files: [master_key, admin_api_key]}
{{- end }}

{{/* What the names of all objects begin with. */}}
{{- define "latchkey.name" -}}
{{- ternary .Release.Name (printf "%s-latchkey" .Release.Name) (contains "latchkey" .Release.Name) | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "latchkey.selector" -}}
app.kubernetes.io/name: latchkey
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "latchkey.labels" -}}
{{ include "latchkey.selector" . }}
app.kubernetes.io/part-of: latchkey
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* The labels of a pod: root and component. */}}
{{- define "latchkey.podLabels" -}}
{{ include "latchkey.selector" .root }}
app.kubernetes.io/part-of: latchkey
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* The image of a service: root and service. */}}
{{- define "latchkey.image" -}}
{{- $image := .root.Values.image -}}
{{- with $image.registry }}{{ . }}/{{ end }}{{ $image.repository }}/{{ .service }}
{{- $tag := $image.tag | default (ne .root.Chart.AppVersion "unreleased" | ternary .root.Chart.AppVersion "") -}}
:{{ required "image.tag: this chart is of no release, so say which images it shall run (README.md)" $tag }}
{{- end }}

{{/* The Secret of a service, or "peers": root and of. */}}
{{- define "latchkey.secret" -}}
{{- index .root.Values.secrets .of | default (printf "%s-%s" (include "latchkey.name" .root) .of) -}}
{{- end }}

{{/* What every pod has: root, and user, or 65532. */}}
{{- define "latchkey.pod" -}}
automountServiceAccountToken: {{ get . "token" | default false }}
# Otherwise the Service latchkey-auth puts LATCHKEY_AUTH_PORT and the like into every environment, and the services refuse
# settings that they do not know.
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ get . "user" | default 65532 }}
  runAsGroup: {{ get . "group" | default 65532 }}
  fsGroup: {{ get . "group" | default 65532 }}
  {{- if get . "user" }}
  fsGroupChangePolicy: OnRootMismatch
  {{- end }}
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "latchkey.restricted" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* The components that talk to the database. */}}
{{- define "latchkey.databaseClients" -}}
[auth, license, analytics, admin, auth-migrate, license-migrate, analytics-migrate, admin-migrate]
{{- end }}
