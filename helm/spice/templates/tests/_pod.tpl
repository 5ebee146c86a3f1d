{{/* A pod of `helm test`: (list $ "store" (list "spice" "doctor")). */}}
{{- define "spice.testPod" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
apiVersion: v1
kind: Pod
metadata:
  name: spice-test-{{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "spice.podLabels" (list $root "setup") | nindent 4 }}
  annotations:
    helm.sh/hook: test
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  {{- include "spice.podSpec" (list $root "setup") | nindent 2 }}
  restartPolicy: Never
  containers:
    - name: test
      image: {{ include "spice.image" (list $root "console") }}
      imagePullPolicy: {{ $root.Values.images.pullPolicy }}
      command: {{ toJson (index . 2) }}
      env:
        {{- include "spice.storeEnv" (list $root "setup") | nindent 8 }}
      resources:
        {{- toYaml $root.Values.tests.resources | nindent 8 }}
      {{- include "spice.containerSecurity" $root | nindent 6 }}
      volumeMounts:
        {{- include "spice.storeMounts" $root | nindent 8 }}
  volumes:
    {{- include "spice.storeVolumes" $root | nindent 4 }}
{{- end }}
