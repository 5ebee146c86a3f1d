{{/* Draining a node takes one pod of a component at a time: (list $ "console"). */}}
{{- define "spice.podDisruptionBudget" -}}
{{- $root := index . 0 -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: spice-{{ index . 1 }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "spice.componentLabels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "spice.selector" . | nindent 6 }}
{{- end }}
