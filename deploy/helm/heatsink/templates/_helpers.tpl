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

{{/* Does it need rights in the whole cluster? */}}
{{- define "heatsink.readsCluster" -}}
{{- if or (include "heatsink.readsPods" .) .Values.kubernetesDRA.enabled .Values.kubernetes.podEvents -}}true{{- end -}}
{{- end -}}

{{/* Does it need the API server? */}}
{{- define "heatsink.usesApi" -}}
{{- if or (include "heatsink.readsCluster" .) .Values.configMapData.name -}}true{{- end -}}
{{- end -}}

{{- define "heatsink.configMapDataNamespace" -}}
{{- .Values.configMapData.namespace | default (include "heatsink.namespace" .) -}}
{{- end -}}

{{/* The ConfigMap of config. */}}
{{- define "heatsink.configName" -}}
{{- .Values.config.name | default (printf "%s-config" (include "heatsink.fullname" .)) -}}
{{- end -}}

{{/* A value that is a text or YAML, as text. */}}
{{- define "heatsink.text" -}}
{{- if kindIs "string" . }}{{ . }}{{ else if . }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* The settings that the chart writes, as YAML; empty if it writes none. */}}
{{- define "heatsink.settings" -}}
{{- with .Values.config }}{{ if and .enabled .create }}{{ include "heatsink.text" .data }}{{ end }}{{ end -}}
{{- end -}}

{{/* The web configuration file, except that of a Secret of the user's. */}}
{{- define "heatsink.webConfig" -}}
{{- $file := dict -}}
{{- with .Values.tlsServerConfig -}}
{{- if .enabled -}}
{{- $tls := dict "cert_file" (printf "/etc/heatsink-tls/%s" .certFilename) "key_file" (printf "/etc/heatsink-tls/%s" .keyFilename) -}}
{{- with .clientAuthType }}{{ $_ := set $tls "client_auth_type" . }}{{ end -}}
{{- if not (has .clientAuthType (list "" "NoClientCert")) }}{{ $_ := set $tls "client_ca_file" (printf "/etc/heatsink-tls/%s" .caFilename) }}{{ end -}}
{{- $_ := set $file "tls_server_config" $tls -}}
{{- end -}}
{{- end -}}
{{- $users := dict -}}
{{- range $name, $given := .Values.basicAuth.users -}}
{{- if not (regexMatch "^\\$2[aby]\\$" $given) }}{{ $given = regexReplaceAll "^[^:]*:" (htpasswd $name $given) "" }}{{ end -}}
{{- $_ := set $users $name $given -}}
{{- end -}}
{{- with $users }}{{ $_ := set $file "basic_auth_users" . }}{{ end -}}
{{- include "heatsink.text" (.Values.webConfig.content | default $file) -}}
{{- end -}}

{{/* Its consequences, as YAML: the Secret that has it and the key there, whether the port has TLS or passwords, and
whether the kubelet, which has no password and no certificate and does not respect a rate limit, can ask /health.
Empty if there is none. */}}
{{- define "heatsink.web" -}}
{{- with .Values.webConfig.existingSecret -}}
{{- dict "secret" . "key" $.Values.webConfig.key "tls" (eq $.Values.webConfig.scheme "https") "passwords" false "open" false | toYaml -}}
{{- else -}}
{{- with include "heatsink.webConfig" . -}}
{{- $file := fromYaml . -}}
{{- $tls := $file.tls_server_config | default dict -}}
{{- $certificates := has $tls.client_auth_type (list "RequireAnyClientCert" "RequireAndVerifyClientCert") -}}
{{- $passwords := not (empty $file.basic_auth_users) -}}
{{- dict "secret" (printf "%s-web-config" (include "heatsink.fullname" $)) "key" "web-config.yaml" "tls" (not (empty $tls)) "passwords" $passwords "open" (not (or $certificates $passwords $file.rate_limit)) | toYaml -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The Secret with certificate and key. */}}
{{- define "heatsink.tlsSecret" -}}
{{- if .Values.tlsServerConfig.enabled -}}
{{- .Values.tlsServerConfig.existingSecret | default (printf "%s-tls" (include "heatsink.fullname" .)) -}}
{{- else -}}
{{- .Values.webConfig.tlsSecret -}}
{{- end -}}
{{- end -}}

{{/* What the kubelet probes. */}}
{{- define "heatsink.probe" -}}
{{- $web := include "heatsink.web" . | fromYaml -}}
{{- if and $web (not $web.open) -}}
tcpSocket:
  port: metrics
{{- else -}}
httpGet:
  path: /health
  port: metrics
  {{- if $web.tls }}
  scheme: HTTPS
  {{- end }}
{{- end -}}
{{- end -}}

{{/* Does it need the kubelet? mapPodsMetrics is the name in dcgm-exporter's chart 2.x. */}}
{{- define "heatsink.usesKubelet" -}}
{{- with .Values.kubernetes -}}
{{- if or .enabled .enablePodLabels .enablePodUID .nodeFiles .virtualGPUs .podEvents $.Values.mapPodsMetrics $.Values.kubernetesDRA.enabled -}}true{{- end -}}
{{- end -}}
{{- end -}}

{{/* Does it mount a path of the node, without the values for volumes of your own? */}}
{{- define "heatsink.mountsHostPath" -}}
{{- if or (include "heatsink.usesKubelet" .) .Values.hpcJobMappingDir (ne (include "heatsink.kernelLog" .) "none") (eq .Values.history.storage "hostPath") -}}true{{- end -}}
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

{{/* Only root can use the kubelet's socket, read the journal's files, and write to a folder that the kubelet creates;
runAsNonRoot must then be false. */}}
{{- define "heatsink.podSecurityContext" -}}
{{- $isRoot := or (eq (include "heatsink.usesKubelet" .) "true") (ne (include "heatsink.kernelLog" .) "none") (eq .Values.history.storage "hostPath") -}}
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

{{/* The endpoint of a ServiceMonitor or PodMonitor, given as a list of the context and the values of the monitor. The
operator's own relabelings, which set pod, namespace and so on, come before these. */}}
{{- define "heatsink.endpoint" -}}
{{- $web := include "heatsink.web" (first .) | fromYaml -}}
{{- with last . -}}
port: metrics
path: /metrics
{{- if $web.tls }}
scheme: https
{{- end }}
{{- with .tlsConfig }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .basicAuth }}
basicAuth:
  {{- toYaml . | nindent 2 }}
{{- end }}
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
{{- end -}}
