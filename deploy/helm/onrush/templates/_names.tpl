{{- /* A value as text: a whole number is one, however it was read. */ -}}
{{- define "onrush.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- end }}

{{- define "onrush.image" -}}
{{ .Values.image.repository }}:{{ include "onrush.text" (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}

{{- define "onrush.selector" -}}
app.kubernetes.io/name: onrush
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: control-plane
{{- end }}

{{- define "onrush.labels" -}}
{{ include "onrush.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "onrush.edge" -}}
{{ .Release.Name }}-edge
{{- end }}

{{- define "onrush.edgeSelector" -}}
app.kubernetes.io/name: onrush
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: edge
{{- end }}

{{- define "onrush.edgeLabels" -}}
{{ include "onrush.edgeSelector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* What answers the API. */ -}}
{{- define "onrush.front" -}}
{{ if .Values.edge.enabled }}{{ include "onrush.edge" . }}{{ else }}{{ include "onrush.name" . }}{{ end }}
{{- end }}

{{- define "onrush.name" -}}
{{ .Release.Name }}-control-plane
{{- end }}
