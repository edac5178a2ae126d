{{/* Invalid values fail the installation with one line that names the value and an action. */}}
{{- define "heatsink.checks" -}}
{{- $own := or .Values.webConfig.content .Values.webConfig.existingSecret -}}
{{- if and .Values.webConfig.content .Values.webConfig.existingSecret -}}
{{- fail "webConfig.content and webConfig.existingSecret: there is one web configuration file: remove one of them" -}}
{{- end -}}
{{- if and $own (or .Values.tlsServerConfig.enabled .Values.basicAuth.users) -}}
{{- fail "webConfig, and tlsServerConfig.enabled or basicAuth.users: there is one web configuration file: write all of it in webConfig, or remove webConfig" -}}
{{- end -}}
{{- with .Values.webConfig.content -}}
{{- if hasKey (include "heatsink.text" . | fromYaml) "Error" -}}
{{- fail "webConfig.content is not YAML with keys: see docs/web-configuration.md" -}}
{{- end -}}
{{- end -}}
{{- with .Values.tlsServerConfig -}}
{{- if and .enabled (not .existingSecret) -}}
{{- if not (and .cert .key) -}}
{{- fail "tlsServerConfig.enabled: the chart makes no certificates: set existingSecret to a Secret with certificate and key, such as cert-manager's, or set cert and key" -}}
{{- end -}}
{{- if and (not (has .clientAuthType (list "" "NoClientCert"))) (not .ca) -}}
{{- fail (printf "tlsServerConfig.clientAuthType, %s, needs ca: the CA of client certificates" .clientAuthType) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $web := include "heatsink.web" . | fromYaml -}}
{{- range $name, $exists := dict "serviceMonitor" (include "heatsink.serviceMonitor" .) "podMonitor" (.Values.podMonitor.enabled | ternary "true" "") -}}
{{- $monitor := index $.Values $name -}}
{{- if and $exists $web.tls (not $monitor.tlsConfig) -}}
{{- fail (printf "%s.tlsConfig is empty, and the pods have TLS, so Prometheus could not scrape them: set ca and serverName, or insecureSkipVerify: true" $name) -}}
{{- end -}}
{{- if and $exists $web.passwords (not $monitor.basicAuth) -}}
{{- fail (printf "%s.basicAuth is empty, and the pods ask for a password, so Prometheus could not scrape them: set username and password to keys of a Secret" $name) -}}
{{- end -}}
{{- end -}}
{{- if .Values.processes.enabled -}}
{{- fail (printf "processes.enabled: heatsink %s has no metrics of processes: remove this value" .Chart.AppVersion) -}}
{{- end -}}
{{- with .Values.config -}}
{{- if and .enabled .create (not .data) -}}
{{- fail "config.enabled: config.data is empty: write the settings there, or set config.create to false and config.name to a ConfigMap that has them" -}}
{{- end -}}
{{- if and .enabled (not .create) (not .name) -}}
{{- fail "config.create is false: set config.name to the ConfigMap that has the settings" -}}
{{- end -}}
{{- if hasKey (include "heatsink.settings" $ | fromYaml) "Error" -}}
{{- fail "config.data is not YAML with keys: see docs/configuration.md" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.configMapData.namespace (not .Values.configMapData.name) -}}
{{- fail "configMapData.namespace is set, but not configMapData.name" -}}
{{- end -}}

{{- $image := printf "%s:%s" .Values.image.repository .Values.image.tag -}}
{{- if regexMatch "(^|/)dcgm-exporter:|:[0-9.]+-[0-9.]+-(ubuntu|ubi|distroless)" $image -}}
{{- fail (printf "image: %s is dcgm-exporter's: set image.repository to your copy of heatsink's image, and remove image.tag" $image) -}}
{{- end -}}

{{- if and (include "heatsink.usesApi" .) (not .Values.kubernetes.rbac.create) (not .Values.serviceAccount.name) -}}
{{- fail "kubernetes.rbac.create is false, and pod labels, pod UIDs, pod Events, kubernetesDRA and configMapData need permissions in the API: set serviceAccount.name to a ServiceAccount that has them, or set kubernetes.rbac.create to true" -}}
{{- end -}}

{{- range .Values.kubernetes.podLabelAllowlistRegex -}}
{{- if contains "," . -}}
{{- fail (printf "kubernetes.podLabelAllowlistRegex: %s has a comma, which separates patterns: write it without one, or as two patterns" .) -}}
{{- end -}}
{{- end -}}

{{- if and .Values.podMonitor.enabled (include "heatsink.serviceMonitor" .) -}}
{{- fail "serviceMonitor.enabled and podMonitor.enabled: all pods would be scraped twice: set one of them to false" -}}
{{- end -}}
{{- if and (include "heatsink.serviceMonitor" .) (not .Values.service.enable) -}}
{{- fail "serviceMonitor.enabled needs service.enable: set service.enable to true, or use podMonitor.enabled instead" -}}
{{- end -}}
{{- range $name := list "serviceMonitor" "podMonitor" -}}
{{- $monitor := index $.Values $name -}}
{{- if and $monitor.interval $monitor.scrapeTimeout (gt (include "heatsink.milliseconds" $monitor.scrapeTimeout | int) (include "heatsink.milliseconds" $monitor.interval | int)) -}}
{{- fail (printf "%s.scrapeTimeout, %s, is longer than its interval, %s: the operator would ignore the monitor" $name $monitor.scrapeTimeout $monitor.interval) -}}
{{- end -}}
{{- end -}}

{{- range .Values.arguments -}}
{{- if regexMatch "^(-a|--?address)(=|$)|^-a." . -}}
{{- fail (printf "arguments: %s would change the port, and the probes would fail: use service.port or service.address" .) -}}
{{- end -}}
{{- end -}}
{{- include "heatsink.checkSettings" . -}}

{{- with .Values.rollingUpdate -}}
{{- $none := list "" "0" "0%" "<nil>" -}}
{{- $unavailable := has (toString .maxUnavailable) $none | not -}}
{{- $surge := has (toString .maxSurge) $none | not -}}
{{- if eq $unavailable $surge -}}
{{- fail (printf "rollingUpdate: maxUnavailable is %v and maxSurge %v; exactly one of them must be 0" .maxUnavailable .maxSurge) -}}
{{- end -}}
{{- end -}}

{{- $pod := include "heatsink.podSecurityContext" . | fromYaml -}}
{{- $container := include "heatsink.securityContext" . | fromYaml -}}
{{- if and (dig "runAsNonRoot" $pod.runAsNonRoot $container) (eq (dig "runAsUser" $pod.runAsUser $container | toString) "0") -}}
{{- fail "runAsNonRoot is true, but the user is root: kubernetes.enabled (the kubelet's socket), kernelLog (the journal) and history.storage: hostPath (a folder of the node) need root. Remove runAsNonRoot, or these values" -}}
{{- end -}}

{{- with .Values.history.size -}}
{{- if and (contains "M" .) (lt (regexFind "^[0-9]+" . | int64) (hasSuffix "MB" . | ternary 9 8)) -}}
{{- fail (printf "history.size is %s; the least is 8MiB" .) -}}
{{- end -}}
{{- end -}}
{{- with .Values.history.keep -}}
{{- $hours := mul (regexFind "^[0-9]+" . | int64) (hasSuffix "d" . | ternary 24 1) -}}
{{- if or (lt $hours 1) (gt $hours 87600) -}}
{{- fail (printf "history.keep is %s; it must be between 1h and 3650d" .) -}}
{{- end -}}
{{- end -}}
{{- range .Values.extraVolumeMounts }}
{{- if and (eq (toString .mountPath) "/var/lib/heatsink") (eq $.Values.history.storage "hostPath") -}}
{{- fail "extraVolumeMounts has /var/lib/heatsink, where history.storage: hostPath mounts a folder of the node: set history.storage to none, or remove that mount" -}}
{{- end -}}
{{- end -}}

{{- $lost := "its symbolic links to monitoring/ are missing: clone the repository with git's core.symlinks enabled, or install a package that helm package makes from such a clone" -}}
{{- if and .Values.prometheusRule.enabled (not (contains "\ngroups:" (.Files.Get "files/rules/4.8.yaml"))) -}}
{{- fail (printf "prometheusRule.enabled: this copy of the chart has no rules: %s" $lost) -}}
{{- end -}}
{{- if and .Values.dashboards.enabled (not (contains "\"panels\":" (.Files.Get "files/dashboards/heatsink-fleet.json"))) -}}
{{- fail (printf "dashboards.enabled: this copy of the chart has no dashboards: %s" $lost) -}}
{{- end -}}

{{- if not .Values.image.repository -}}
{{- fail "image.repository is not set, and there is no public image: build it (deploy/docker/README.md), push it to your registry, and set image.repository to its name" -}}
{{- end -}}
{{- end -}}

{{/* Settings that need more than a flag, such as rights and mounts, which only a value of the chart brings. They are
refused wherever else they can be set. Each has the flag, its short form, its variable, what it needs, and the value. */}}
{{- define "heatsink.checkSettings" -}}
{{- $probes := "would change who may ask, and the probes would fail" -}}
{{- $configMap := "needs the right to read the ConfigMap" -}}
{{- $kubelet := "needs the kubelet's folder, and root" -}}
{{- $pods := "needs the kubelet's folder, root, and the right to read pods" -}}
{{- $slices := "needs the kubelet's and the DRA driver's folder, root, and the right to read resource slices" -}}
{{- $arguments := .Values.arguments -}}
{{- $settings := include "heatsink.settings" . | fromYaml -}}
{{- $variables := list -}}
{{- range .Values.extraEnv }}{{ $variables = append $variables .name }}{{ end -}}
{{- range list
  (list "web-config-file" "" "DCGM_EXPORTER_WEB_CONFIG_FILE" $probes "webConfig")
  (list "configmap-data" "m" "DCGM_EXPORTER_CONFIGMAP_DATA" $configMap "configMapData")
  (list "kubernetes" "k" "DCGM_EXPORTER_KUBERNETES" $kubelet "kubernetes.enabled")
  (list "kubernetes-enable-pod-labels" "" "DCGM_EXPORTER_KUBERNETES_ENABLE_POD_LABELS" $pods "kubernetes.enablePodLabels")
  (list "kubernetes-enable-pod-uid" "" "DCGM_EXPORTER_KUBERNETES_ENABLE_POD_UID" $pods "kubernetes.enablePodUID")
  (list "kubernetes-node-files" "" "HEATSINK_KUBERNETES_NODE_FILES" "needs folders of the node, and root" "kubernetes.nodeFiles")
  (list "kubernetes-pod-events" "" "HEATSINK_KUBERNETES_POD_EVENTS" "needs the right to create Events" "kubernetes.podEvents")
  (list "kubernetes-enable-dra" "" "KUBERNETES_ENABLE_DRA" $slices "kubernetesDRA.enabled")
  (list "hpc-job-mapping-dir" "" "DCGM_HPC_JOB_MAPPING_DIR" "needs this folder of the node" "hpcJobMappingDir")
  (list "history-dir" "" "HEATSINK_HISTORY_DIR" "needs a folder that is mounted" "history.storage")
  (list "history-size" "" "HEATSINK_HISTORY_SIZE" "needs a volume of that size" "history.size")
-}}
{{- $flag := index . 0 -}}
{{- $short := index . 1 -}}
{{- $variable := index . 2 -}}
{{- $why := printf "%s: use %s" (index . 3) (index . 4) -}}
{{- $forms := printf "^--?%s(=|$)" $flag -}}
{{- if $short }}{{ $forms = printf "%s|^--?%s(=|$)|^-%s." $forms $short $short }}{{ end -}}
{{- range $arguments -}}
{{- if regexMatch $forms . }}{{ fail (printf "arguments: %s %s" . $why) }}{{ end -}}
{{- end -}}
{{- if hasKey $settings $flag }}{{ fail (printf "config.data: %s %s" $flag $why) }}{{ end -}}
{{- if has $variable $variables }}{{ fail (printf "extraEnv: %s %s" $variable $why) }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* Milliseconds of a duration such as 15s, 1m30s or 500ms; the schema allows no other form. */}}
{{- define "heatsink.milliseconds" -}}
{{- $hours := regexFind "[0-9]+h" . | trimSuffix "h" | int -}}
{{- $minutes := regexFind "[0-9]+m([^s]|$)" . | regexFind "[0-9]+" | int -}}
{{- $seconds := regexFind "[0-9]+s" . | trimSuffix "s" | int -}}
{{- $milliseconds := regexFind "[0-9]+ms" . | trimSuffix "ms" | int -}}
{{- add (mul 3600000 $hours) (mul 60000 $minutes) (mul 1000 $seconds) $milliseconds -}}
{{- end -}}
