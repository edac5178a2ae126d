{{/* Values that cannot work fail the installation, each with one line that says what to do. */}}
{{- define "heatsink.checks" -}}
{{- $instead := "close the port with networkPolicy.enabled, or let a service mesh or a proxy do it; then take this value away" -}}
{{- if .Values.tlsServerConfig.enabled -}}
{{- fail (printf "tlsServerConfig.enabled: heatsink %s serves no TLS, and the page would be open: %s" .Chart.AppVersion $instead) -}}
{{- end -}}
{{- if .Values.basicAuth.users -}}
{{- fail (printf "basicAuth.users: heatsink %s asks for no password, and the page would be open: %s" .Chart.AppVersion $instead) -}}
{{- end -}}
{{- if .Values.processes.enabled -}}
{{- fail (printf "processes.enabled: heatsink %s has no metrics of processes: take this value away" .Chart.AppVersion) -}}
{{- end -}}
{{- if .Values.config.enabled -}}
{{- fail (printf "config.enabled: heatsink %s reads no YAML configuration: put the metrics into customMetrics, the interval into collectInterval" .Chart.AppVersion) -}}
{{- end -}}

{{- $image := printf "%s:%s" .Values.image.repository .Values.image.tag -}}
{{- if regexMatch "(^|/)dcgm-exporter:|:[0-9.]+-[0-9.]+-(ubuntu|ubi|distroless)" $image -}}
{{- fail (printf "image: %s is dcgm-exporter's: set image.repository to your copy of heatsink's image, and take image.tag away" $image) -}}
{{- end -}}

{{- if and (include "heatsink.usesApi" .) (not .Values.kubernetes.rbac.create) (not .Values.serviceAccount.name) -}}
{{- fail "kubernetes.rbac.create is false, and pod labels, pod UIDs and kubernetesDRA need rights: name a ServiceAccount that has them in serviceAccount.name, or set it to true" -}}
{{- end -}}

{{- if and .Values.podMonitor.enabled (include "heatsink.serviceMonitor" .) -}}
{{- fail "serviceMonitor.enabled and podMonitor.enabled: everything would be scraped twice: set one of them to false" -}}
{{- end -}}
{{- if and (include "heatsink.serviceMonitor" .) (not .Values.service.enable) -}}
{{- fail "serviceMonitor.enabled needs service.enable: set that to true, or take podMonitor.enabled" -}}
{{- end -}}
{{- range $name := list "serviceMonitor" "podMonitor" -}}
{{- $monitor := index $.Values $name -}}
{{- if and $monitor.interval $monitor.scrapeTimeout (gt (include "heatsink.milliseconds" $monitor.scrapeTimeout | int) (include "heatsink.milliseconds" $monitor.interval | int)) -}}
{{- fail (printf "%s.scrapeTimeout, %s, is longer than its interval, %s: the operator would drop the whole monitor" $name $monitor.scrapeTimeout $monitor.interval) -}}
{{- end -}}
{{- end -}}

{{- range .Values.arguments -}}
{{- if regexMatch "^(-a|--?address)(=|$)|^-a." . -}}
{{- fail (printf "arguments: %s would move the port away from where the probes ask: use service.port or service.address" .) -}}
{{- end -}}
{{- end -}}

{{- with .Values.rollingUpdate -}}
{{- $none := list "" "0" "0%" "<nil>" -}}
{{- $unavailable := has (toString .maxUnavailable) $none | not -}}
{{- $surge := has (toString .maxSurge) $none | not -}}
{{- if eq $unavailable $surge -}}
{{- fail (printf "rollingUpdate: maxUnavailable is %v and maxSurge %v; Kubernetes wants one of them to be 0, and the other not" .maxUnavailable .maxSurge) -}}
{{- end -}}
{{- end -}}

{{- $pod := include "heatsink.podSecurityContext" . | fromYaml -}}
{{- $container := include "heatsink.securityContext" . | fromYaml -}}
{{- if and (dig "runAsNonRoot" $pod.runAsNonRoot $container) (eq (dig "runAsUser" $pod.runAsUser $container | toString) "0") -}}
{{- fail "runAsNonRoot is true, and the user is root, as kubernetes.enabled needs it for the kubelet's socket and kernelLog for the journal: take one of them away" -}}
{{- end -}}

{{- $lost := "its links to monitoring/ were lost: get the repository with git's core.symlinks on, or install what helm package made of such a copy" -}}
{{- if and .Values.prometheusRule.enabled (not (contains "\ngroups:" (.Files.Get "files/rules/4.8.yaml"))) -}}
{{- fail (printf "prometheusRule.enabled: this copy of the chart has no rules: %s" $lost) -}}
{{- end -}}
{{- if and .Values.dashboards.enabled (not (contains "\"panels\":" (.Files.Get "files/dashboards/heatsink-fleet.json"))) -}}
{{- fail (printf "dashboards.enabled: this copy of the chart has no dashboards: %s" $lost) -}}
{{- end -}}

{{- if not .Values.image.repository -}}
{{- fail "image.repository is not set, and there is no public image: build it (deploy/docker/README.md), push it to a registry of yours, and set image.repository to its name there" -}}
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
