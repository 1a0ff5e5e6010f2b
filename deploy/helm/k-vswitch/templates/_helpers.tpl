{{- define "k-vswitch.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "k-vswitch.labels" -}}
app.kubernetes.io/name: k-vswitch
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- /* Selects the pods of one program; it can never be changed in a cluster. */}}
{{- define "k-vswitch.selector" -}}
app.kubernetes.io/name: k-vswitch
app.kubernetes.io/component: {{ . }}
{{- end }}

{{- /* A variable from the ConfigMap: list NAME KEY. */}}
{{- define "k-vswitch.env" -}}
- name: {{ index . 0 }}
  valueFrom:
    configMapKeyRef:
      name: k-vswitch
      key: {{ index . 1 }}
{{- end }}

{{- define "k-vswitch.annotations" -}}
{{- if .Values.restartOnChange -}}
annotations:
  kvswitch.io/config: {{ .Values.config | toJson | sha256sum }}
{{- end }}
{{- end }}
