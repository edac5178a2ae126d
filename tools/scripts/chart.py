#!/usr/bin/env python3
"""Renders the Helm chart with each of its values files, and checks what comes out.

    tools/scripts/chart.py render --chart deploy/helm/heatsink --out target/chart

Needs Python 3.11 and tools/scripts/requirements-chart.txt: Helm's own engine as a library, and the schemas
of Kubernetes. No cluster, no network.

Each ci/NAME-values.yaml becomes OUT/NAME.yaml and OUT/NAME.notes.txt. Its first lines may say

    # apis: none               the cluster lacks the API of the Prometheus operator
    # security: restricted     the pod has to meet that Pod Security Standard
    # renders: TEXT            a line that has to come out

Objects of the Prometheus operator are not checked here: OUT/monitoring.json has them all. Each file in
ci/bad has to be refused, with one line that has what its own first line expects.
"""

import argparse
import json
import re
import sys
from pathlib import Path

import helm_python
import kubernetes_validate
import yaml
from helm_python import _native, lint, values_from_yaml

MONITORING = "monitoring.coreos.com/v1"

# The order in which Helm installs; what it does not know comes last.
KINDS = [
    "NetworkPolicy",
    "ServiceAccount",
    "ConfigMap",
    "ClusterRole",
    "ClusterRoleBinding",
    "Service",
    "DaemonSet",
    "PodMonitor",
    "PrometheusRule",
    "ServiceMonitor",
]


class Loader(yaml.SafeLoader):
    """YAML in which a key that stands twice is a mistake, as it is for Kubernetes."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"`{key}` stands twice")
        return super().construct_mapping(node, deep)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("render", help="render and check")
    command.add_argument("--chart", type=Path, required=True, help="the folder of the chart")
    command.add_argument("--out", type=Path, required=True, help="where to write; made if need be")
    command.add_argument("--kubernetes", action="append", metavar="VERSION",
                         help="a version to check against, such as 1.34; may be repeated")
    arguments = parser.parse_args()
    versions = arguments.kubernetes or ["1.25", "1.34"]

    mistakes = render_all(arguments.chart, arguments.out, versions)
    mistakes += refuse_all(arguments.chart, versions[-1])
    for mistake in mistakes:
        print(f"error: {mistake}", file=sys.stderr)
    sys.exit(1 if mistakes else 0)


def render_all(folder, out, versions):
    """Renders every values file, and returns what is wrong with any of them."""
    out.mkdir(parents=True, exist_ok=True)
    files = sorted(folder.glob("ci/*-values.yaml"))
    mistakes = [] if files else [f"{folder}/ci has no values files"]
    monitoring = []
    for file in files:
        name = file.name.removesuffix("-values.yaml")
        text = file.read_text()
        try:
            rendered = render(folder, text, versions[-1])
            documents = sorted(split(rendered), key=place)
            mistakes += [f"{name}: {mistake}" for mistake in check_lint(folder, text, versions[-1])]
        except (helm_python.HelmError, yaml.YAMLError, ValueError) as error:
            mistakes.append(f"{name}: {error}")
            continue
        (out / f"{name}.yaml").write_text("".join(text for text, _, _ in documents))
        (out / f"{name}.notes.txt").write_text(rendered["heatsink/templates/NOTES.txt"])
        objects = [found for _, _, found in documents]
        for found in objects:
            if found["apiVersion"].startswith("monitoring.coreos.com/"):
                monitoring.append(found)
            else:
                mistakes += [f"{name}: {mistake}" for mistake in check(found, versions)]
        mistakes += [f"{name}: {mistake}" for mistake in twice("objects", map(key, objects))]
        line = said(text, "renders")
        if line and not any(line in text for text, _, _ in documents):
            mistakes.append(f"{name}: does not render `{line}`")
        if said(text, "security") == "restricted":
            mistakes += [f"{name}: {mistake}" for mistake in unrestricted(pod(objects))]
        print(f"{name}: {len(objects)} objects")
    (out / "monitoring.json").write_text(json.dumps(monitoring, indent=1) + "\n")
    return mistakes


def refuse_all(folder, version):
    """Renders every bad values file, and returns those that were not refused as they should."""
    files = sorted(folder.glob("ci/bad/*.yaml"))
    mistakes = [] if files else [f"{folder}/ci/bad has no values files"]
    for file in files:
        text = file.read_text()
        expected = said(text, "expect")
        if not expected:
            mistakes.append(f"bad/{file.name}: its first line does not begin with `# expect: `")
            continue
        try:
            render(folder, text, version)
        except helm_python.HelmError as error:
            line = next((line for line in str(error).splitlines() if expected in line), None)
            if line:
                print(f"bad/{file.stem}: {line.strip()}")
            else:
                mistakes.append(f"bad/{file.name}: expected `{expected}`, got: {error}")
        else:
            mistakes.append(f"bad/{file.name}: was not refused")
    return mistakes


def render(folder, text, version):
    """What Helm makes of a values file: the text of each template."""
    options = {
        "name": "heatsink",
        "namespace": "monitoring",
        "kube_version": f"v{version}.0",
        "api_versions": [] if said(text, "apis") == "none" else [MONITORING],
    }
    with helm_python.Chart.load(folder) as chart:
        # Chart.render has no way to say which versions and APIs the cluster has; the call below it has.
        return json.loads(_native.call_string(
            "helm_render", chart._raw(), json.dumps(values_from_yaml(text)), json.dumps(options)))


def said(text, word):
    """What the comments at the head of a file say after `# word: `, or nothing."""
    head = re.match(r"(#.*\n)*", text)[0]
    found = re.search(rf"^# {word}: (.+)$", head, re.MULTILINE)
    return found and found[1].strip()


def split(rendered):
    """The documents of all templates: text, template, object."""
    for template, text in sorted(rendered.items()):
        if template.endswith("NOTES.txt"):
            continue
        for document in re.split(r"^---$", text, flags=re.MULTILINE):
            try:
                found = yaml.load(document, Loader)
            except yaml.YAMLError as error:
                raise ValueError(f"{template}: {error}") from error
            if found is not None:
                yield f"---\n# Source: {template}\n{document.strip()}\n", template, found


def place(document):
    _, template, found = document
    if found["kind"] not in KINDS:
        raise ValueError(f"{template}: a kind without a place in KINDS: {found['kind']}")
    return KINDS.index(found["kind"]), template


def check_lint(folder, text, version):
    report = lint(folder, values_from_yaml(text), strict=True, kube_version=f"v{version}.0")
    info = 1
    for message in report["messages"]:
        if message["severity"] != info:
            yield f"lint: {message['path']}: {message['error']}"


def check(found, versions):
    """What Kubernetes would not take, by its schemas and beyond."""
    who = f"{found['kind']} {found['metadata']['name']}"
    for version in versions:
        try:
            kubernetes_validate.validate(found, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            path = ".".join(map(str, error.path))
            yield f"{who}: Kubernetes {version}: {path}: {error.message}"
        except kubernetes_validate.SchemaNotFoundError as error:
            yield f"{who}: Kubernetes {version} has no {error.kind} of {error.api_version}"
    if found["kind"] == "DaemonSet":
        spec = found["spec"]["template"]["spec"]
        container = spec["containers"][0]
        mounts = container.get("volumeMounts", [])
        volumes = [volume["name"] for volume in spec.get("volumes", [])]
        yield from twice("env", (variable["name"] for variable in container["env"]))
        yield from twice("volumeMounts", (mount["mountPath"] for mount in mounts))
        yield from twice("volumes", volumes)
        for mount in mounts:
            if mount["name"] not in volumes:
                yield f"{who}: volumeMounts: there is no volume {mount['name']}"


def unrestricted(spec):
    """Where a pod does not meet the Pod Security Standard `restricted`."""
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield f"not restricted: {field}"
    for volume in spec.get("volumes", []):
        if "hostPath" in volume:
            yield f"not restricted: hostPath of {volume['name']}"
    for container in spec["containers"] + spec.get("initContainers", []):
        context = spec.get("securityContext", {}) | container.get("securityContext", {})
        capabilities = context.get("capabilities", {})
        meets = {
            "runAsNonRoot": context.get("runAsNonRoot") is True,
            "runAsUser": context.get("runAsUser") != 0,
            "seccompProfile": context.get("seccompProfile", {}).get("type") == "RuntimeDefault",
            "allowPrivilegeEscalation": context.get("allowPrivilegeEscalation") is False,
            "privileged": not context.get("privileged"),
            "capabilities": capabilities.get("drop") == ["ALL"] and not capabilities.get("add"),
        }
        for field in (field for field, met in meets.items() if not met):
            yield f"not restricted: {field} of {container['name']}"


def pod(objects):
    return next(found for found in objects if found["kind"] == "DaemonSet")["spec"]["template"]["spec"]


def key(found):
    metadata = found["metadata"]
    return f"{found['kind']} {metadata.get('namespace', '')}/{metadata['name']}"


def twice(what, names):
    names = list(names)
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{what}: {name} stands twice"


if __name__ == "__main__":
    main()
