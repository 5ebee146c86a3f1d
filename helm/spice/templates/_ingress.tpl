{{/* An Ingress for a component's Service: (list $ "console" .Values.console.ingress). */}}
{{- define "spice.ingress" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $ingress := index . 2 -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: spice-{{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "spice.componentLabels" (list $root $name) | nindent 4 }}
  {{- with $ingress.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with $ingress.className }}
  ingressClassName: {{ . }}
  {{- end }}
  rules:
    - host: {{ required (printf "%s.ingress.host is needed where its ingress is enabled" $name) $ingress.host }}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service: {name: spice-{{ $name }}, port: {name: http}}
  {{- with $ingress.tlsSecret }}
  tls:
    - secretName: {{ . }}
      hosts: [{{ $ingress.host }}]
  {{- end }}
{{- end }}
