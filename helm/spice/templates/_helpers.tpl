{{/* Labels of every object. */}}
{{- define "spice.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/part-of: spice
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels that select the pods of a component: (list $ "console"). */}}
{{- define "spice.selector" -}}
app.kubernetes.io/name: spice
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Labels of an object that belongs to a component: (list $ "console"). */}}
{{- define "spice.componentLabels" -}}
app.kubernetes.io/name: spice
app.kubernetes.io/component: {{ index . 1 }}
{{ include "spice.labels" (index . 0) }}
{{- end }}

{{/*
Labels of a component's pods: (list $ "console"), with more labels as a third. None changes with the chart's version,
which would restart the pods.
*/}}
{{- define "spice.podLabels" -}}
{{ include "spice.selector" . }}
app.kubernetes.io/part-of: spice
{{- with (index . 0).Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- with gt (len .) 2 | ternary (last .) dict }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* An image: (list $ "cpu"). A digest wins over the tag; the tags of one repository end in the image's target. */}}
{{- define "spice.image" -}}
{{- $images := (index . 0).Values.images -}}
{{- $kind := index . 1 -}}
{{- $image := index $images $kind -}}
{{- $suffix := eq $kind "cpu" | ternary "" (printf "-%s" $kind) -}}
{{- $tag := default (printf "%s%s" (index . 0).Chart.AppVersion $suffix) $image.tag -}}
{{- with $images.registry }}{{ . | trimSuffix "/" }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $tag }}{{ end -}}
{{- end }}

{{/* What every pod has in common: (list $ "console") gives the account, the security context and where it may run. */}}
{{- define "spice.podSpec" -}}
{{- $root := index . 0 -}}
{{- $account := index . 1 -}}
{{- $rbac := index ($root.Files.Get "files/rbac.yaml" | fromYaml) "accounts" $account -}}
serviceAccountName: spice-{{ $account }}
automountServiceAccountToken: {{ $rbac.token }}
enableServiceLinks: false
securityContext:
  {{- toYaml $root.Values.podSecurityContext | nindent 2 }}
{{- with $root.Values.images.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Where the pods of a component may run: (.Values.console). */}}
{{- define "spice.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{- define "spice.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* Where the store is and how it is reached: (list $ "exporter") takes the credentials of that role. */}}
{{- define "spice.storeEnv" -}}
{{- $root := index . 0 -}}
- name: SPICE_CONFIG
  value: /etc/spice/config.yaml
- name: SPICE_PRESET
  value: {{ $root.Values.preset | quote }}
- name: SPICE_HOME
  value: /tmp/spice
{{- range $key, $name := dict "url" "URL" "endpoint" "ENDPOINT" "region" "REGION" "secure" "SECURE" }}
- name: SPICE_STORE__{{ $name }}
  valueFrom:
    configMapKeyRef: {name: spice-store, key: {{ $key }}}
{{- end }}
{{- if $root.Values.store.caSecret }}
- name: SSL_CERT_FILE
  value: /etc/spice/ca/ca.crt
{{- end }}
{{ include "spice.credentialsEnv" (index . 1) }}
{{- end }}

{{- define "spice.credentialsEnv" -}}
- name: SPICE_S3_ACCESS_KEY
  valueFrom:
    secretKeyRef: {name: spice-store-{{ . }}, key: access-key}
- name: SPICE_S3_SECRET_KEY
  valueFrom:
    secretKeyRef: {name: spice-store-{{ . }}, key: secret-key}
{{- end }}

{{- define "spice.storeMounts" -}}
- {name: config, mountPath: /etc/spice/config.yaml, subPath: config.yaml, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- if .Values.store.caSecret }}
- {name: ca, mountPath: /etc/spice/ca, readOnly: true}
{{- end }}
{{- end }}

{{- define "spice.storeVolumes" -}}
- name: config
  configMap: {name: spice-config}
- name: tmp
  emptyDir: {}
{{- with .Values.store.caSecret }}
- name: ca
  secret: {secretName: {{ . }}}
{{- end }}
{{- end }}

{{/* Pods are replaced when the configuration that they mount changes. */}}
{{- define "spice.podAnnotations" -}}
{{- $root := index . 0 -}}
checksum/config: {{ include (print $root.Template.BasePath "/store/configmap.yaml") $root | sha256sum }}
{{- with index . 1 }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The S3 service as SPICE's settings name it. */}}
{{- define "spice.s3Endpoint" -}}
{{- if .Values.store.endpoint }}{{ .Values.store.endpoint }}
{{- else if .Values.minio.enabled }}spice-minio.{{ .Release.Namespace }}.svc:9000
{{- end }}
{{- end }}

{{- define "spice.s3Secure" -}}
{{- if and .Values.minio.enabled (not .Values.store.endpoint) }}false{{ else }}{{ .Values.store.secure }}{{ end }}
{{- end }}

{{/* Bucket and prefix of store.url. */}}
{{- define "spice.bucket" -}}
{{- regexReplaceAll "^s3://([^/]+).*$" .Values.store.url "${1}" }}
{{- end }}

{{/* Where the store begins in its bucket, with a slash at the end unless it is the bucket's root. */}}
{{- define "spice.prefix" -}}
{{- $prefix := regexReplaceAll "^s3://[^/]+/?" .Values.store.url "" | trimSuffix "/" -}}
{{- with $prefix }}{{ . }}/{{ end -}}
{{- end }}

{{/* Egress that every pod of the platform needs: names, and the store. */}}
{{- define "spice.egress" -}}
- to:
    - namespaceSelector:
        matchLabels: {kubernetes.io/metadata.name: kube-system}
  ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{ include "spice.egressStore" . }}
{{- end }}

{{- define "spice.egressStore" -}}
{{- if .Values.minio.enabled -}}
- to:
    - podSelector:
        matchLabels:
          {{- include "spice.selector" (list . "minio") | nindent 10 }}
  ports:
    - {port: 9000, protocol: TCP}
{{- else -}}
- to:
    - ipBlock: {cidr: {{ .Values.networkPolicies.s3.cidr }}}
  ports:
    - {port: {{ .Values.networkPolicies.s3.port }}, protocol: TCP}
{{- end }}
{{- end }}
