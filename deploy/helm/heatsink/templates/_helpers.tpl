{{/* Names. Kubernetes allows 63 characters. */}}
{{- define "heatsink.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "heatsink.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- .Values.fullnameOverride | default $full | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "heatsink.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{- define "heatsink.serviceAccountName" -}}
{{- $default := .Values.serviceAccount.create | ternary (include "heatsink.fullname" .) "default" -}}
{{- .Values.serviceAccount.name | default $default -}}
{{- end -}}

{{- define "heatsink.selectorLabels" -}}
app.kubernetes.io/name: {{ include "heatsink.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "heatsink.labels" -}}
{{ include "heatsink.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- end -}}

{{/* The address and port on which heatsink listens. */}}
{{- define "heatsink.address" -}}
{{- .Values.service.address | default (printf ":%d" (int .Values.service.port)) -}}
{{- end -}}

{{- define "heatsink.port" -}}
{{- include "heatsink.address" . | regexFind "[0-9]+$" -}}
{{- end -}}

{{- define "heatsink.image" -}}
{{- $tag := .Values.image.digest | default .Values.image.tag | default .Chart.AppVersion -}}
{{- .Values.image.repository }}{{ hasPrefix "sha256:" $tag | ternary "@" ":" }}{{ $tag -}}
{{- end -}}

{{/* The origin of the node's kernel log. */}}
{{- define "heatsink.kernelLog" -}}
{{- .Values.kernelLog | default "none" -}}
{{- end -}}

{{/* The following return "true" or nothing. The first: does heatsink read pods from the API server? */}}
{{- define "heatsink.readsPods" -}}
{{- with .Values.kubernetes -}}
{{- if or .enablePodLabels (and .enablePodUID (not .nodeFiles)) -}}true{{- end -}}
{{- end -}}
{{- end -}}

{{/* Does it need the API server? */}}
{{- define "heatsink.usesApi" -}}
{{- if or (include "heatsink.readsPods" .) .Values.kubernetesDRA.enabled -}}true{{- end -}}
{{- end -}}

{{/* Does it need the kubelet? mapPodsMetrics is the name in dcgm-exporter's chart 2.x. */}}
{{- define "heatsink.usesKubelet" -}}
{{- with .Values.kubernetes -}}
{{- if or .enabled .enablePodLabels .enablePodUID .nodeFiles .virtualGPUs $.Values.mapPodsMetrics $.Values.kubernetesDRA.enabled -}}true{{- end -}}
{{- end -}}
{{- end -}}

{{/* Does it mount a path of the node, without the values for volumes of your own? */}}
{{- define "heatsink.mountsHostPath" -}}
{{- if or (include "heatsink.usesKubelet" .) .Values.hpcJobMappingDir (ne (include "heatsink.kernelLog" .) "none") -}}true{{- end -}}
{{- end -}}

{{/* Is there a ServiceMonitor? */}}
{{- define "heatsink.serviceMonitor" -}}
{{- $wish := .Values.serviceMonitor.enabled -}}
{{- $auto := and (eq (toString $wish) "auto") .Values.service.enable (not .Values.podMonitor.enabled) -}}
{{- if or (eq (toString $wish) "true") (and $auto (.Capabilities.APIVersions.Has .Values.serviceMonitor.apiVersion)) -}}true{{- end -}}
{{- end -}}

{{- define "heatsink.automountToken" -}}
{{- $wish := .Values.serviceAccount.automountServiceAccountToken -}}
{{- kindIs "bool" $wish | ternary $wish (eq (include "heatsink.usesApi" .) "true") -}}
{{- end -}}

{{/* Only root can use the kubelet's socket and read the journal's files; runAsNonRoot must then be false. */}}
{{- define "heatsink.podSecurityContext" -}}
{{- $isRoot := or (eq (include "heatsink.usesKubelet" .) "true") (ne (include "heatsink.kernelLog" .) "none") -}}
{{- $id := $isRoot | ternary 0 65532 -}}
{{- $given := .Values.podSecurityContext | default dict -}}
{{- $user := dig "runAsUser" (dig "runAsUser" $id $given) (.Values.securityContext | default dict) -}}
{{- $default := dict "runAsUser" $id "runAsGroup" $id "runAsNonRoot" (ne (toString $user) "0") "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- mergeOverwrite $default $given | toYaml -}}
{{- end -}}

{{- define "heatsink.securityContext" -}}
{{- $given := .Values.securityContext | default dict -}}
{{- $default := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "capabilities" (dict "drop" (list "ALL")) -}}
{{- /* The cgroup of a container without privileges does not allow /dev/kmsg. */ -}}
{{- if eq (include "heatsink.kernelLog" .) "kmsg" }}{{ $_ := set $default "privileged" true }}{{ end -}}
{{- $context := mergeOverwrite $default $given -}}
{{- /* A privileged container has all capabilities, even if some are dropped, so the manifest drops none. */ -}}
{{- if and $context.privileged (not $given.capabilities) -}}
{{- $context = omit $context "capabilities" -}}
{{- end -}}
{{- /* Kubernetes rejects these two together with "allowPrivilegeEscalation: false". */ -}}
{{- if or $context.privileged (has "CAP_SYS_ADMIN" (dig "capabilities" "add" list $context)) -}}
{{- $context = omit $context "allowPrivilegeEscalation" -}}
{{- end -}}
{{- toYaml $context -}}
{{- end -}}

{{/* The endpoint of a ServiceMonitor or PodMonitor. The operator's own relabelings, which set pod, namespace and
so on, come before these. */}}
{{- define "heatsink.endpoint" -}}
port: metrics
path: /metrics
{{- with .interval }}
interval: {{ . }}
{{- end }}
{{- with .scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
honorLabels: {{ .honorLabels }}
relabelings:
  - sourceLabels: [__meta_kubernetes_pod_node_name]
    targetLabel: instance
  - action: labeldrop
    regex: pod|namespace|container|endpoint|service
  {{- with .relabelings }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
