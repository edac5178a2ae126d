#!/usr/bin/env python3
"""Renders the Helm chart with each of its values files, and checks what comes out.

    tools/scripts/chart.py render --chart deploy/helm/heatsink --out target/chart

Needs Python 3.11 and tools/scripts/requirements-chart.txt: Helm's own engine as a library, and the schemas
of Kubernetes. No cluster, no network.

The chart is packaged first, and rendered from the package, as users of `helm package` have it.

Each ci/NAME-values.yaml is rendered: default, full and plain into OUT/NAME.yaml, notes included, the others
into OUT/NAME.diff, the difference from default. Rules and dashboards have to be those of the chart's files/,
and are left out of what is written. The first lines of a values file may say

    # apis: none               the cluster lacks the API of the Prometheus operator
    # security: restricted     the pod has to meet that Pod Security Standard
    # renders: TEXT            a line that has to come out
    # with: FILE               a values file of the chart that comes before this one

Objects of the Prometheus operator are not checked here: OUT/monitoring.json has them all. Each file in
ci/bad has to be refused, with one line that contains the text behind `# expect: ` in its first line.
"""

import argparse
import difflib
import json
import re
import shutil
import sys
from pathlib import Path

import helm_python
import kubernetes_validate
import yaml
from helm_python import _native, lint, values_from_yaml

MONITORING = "monitoring.coreos.com/v1"
NOTES = "heatsink/templates/NOTES.txt"

# What is written whole; the rest as the difference from the first.
WHOLE = ["default", "full", "plain"]

# The order in which Helm installs; what it does not know comes last.
KINDS = [
    "NetworkPolicy",
    "ServiceAccount",
    "Secret",
    "ConfigMap",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "Service",
    "DaemonSet",
    "PodMonitor",
    "PrometheusRule",
    "ServiceMonitor",
]


# A password that Helm hashes has another hash in each rendering. Written instead is one of the password "secret".
HASH = r"\$2a\$10\$[./A-Za-z0-9]{53}"
SECRET = "$2a$10$heatsinkheatsinkheatsu4SJhaRpRQP4zyhbctDDoekTO8kxh6wS"


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

    arguments.out.mkdir(parents=True, exist_ok=True)
    package = Path(helm_python.package(arguments.chart, destination=arguments.out))
    mistakes = render_all(arguments.chart, package, arguments.out, versions)
    mistakes += refuse_all(arguments.chart, package, versions[-1])
    mistakes += refuse_without_files(package, arguments.out, versions[-1])
    for mistake in mistakes:
        print(f"error: {mistake}", file=sys.stderr)
    sys.exit(1 if mistakes else 0)


def render_all(folder, package, out, versions):
    """Renders every values file, and returns what is wrong with any of them."""
    files = sorted(folder.glob("ci/*-values.yaml"))
    mistakes = [] if files else [f"{folder}/ci has no values files"]
    monitoring = []
    texts = {}
    for file in files:
        name = file.name.removesuffix("-values.yaml")
        text = file.read_text()
        if before := directive(text, "with"):
            text += "\n" + (folder / before).read_text()
        try:
            # Helm takes a key that stands twice.
            yaml.load(text, Loader)
            rendered = render(package, text, versions[-1])
            documents = sorted(split(rendered), key=install_order)
            mistakes += [f"{name}: {mistake}" for mistake in check_lint(package, text, versions[-1])]
        except (helm_python.HelmError, yaml.YAMLError, ValueError) as error:
            mistakes.append(f"{name}: {error}")
            continue
        notes = "".join(f"# {line}".strip() + "\n" for line in rendered[NOTES].splitlines())
        texts[name] = "".join(abridged(text) for text, _, _ in documents)
        texts[name] += f"---\n# Source: {NOTES}\n{notes}"
        texts[name] = re.sub(HASH, SECRET, texts[name])
        objects = [found for _, _, found in documents]
        for found in objects:
            mistakes += [f"{name}: {mistake}" for mistake in check_files(found, folder / "files")]
            if found["apiVersion"].startswith("monitoring.coreos.com/"):
                monitoring.append(found)
            else:
                mistakes += [f"{name}: {mistake}" for mistake in check(found, versions)]
        duplicate_objects = duplicates("objects", map(key, objects))
        mistakes += [f"{name}: {mistake}" for mistake in duplicate_objects]
        line = directive(text, "renders")
        if line and not any(line in text for text, _, _ in documents):
            mistakes.append(f"{name}: does not render `{line}`")
        if directive(text, "security") == "restricted":
            mistakes += [f"{name}: {mistake}" for mistake in unrestricted(pod(objects))]
        print(f"{name}: {len(objects)} objects")
    for name, text in texts.items():
        if name in WHOLE:
            (out / f"{name}.yaml").write_text(text)
        elif WHOLE[0] in texts:
            (out / f"{name}.diff").write_text(difference(texts[WHOLE[0]], text, name))
    (out / "monitoring.json").write_text(json.dumps(monitoring, indent=1) + "\n")
    return mistakes


def abridged(text):
    """A document without the rules or the dashboard in it."""
    template = text.splitlines()[1].rpartition("/")[2]
    start = {"prometheusrule.yaml": "\nspec:\n", "dashboards.yaml": "\ndata:\n"}.get(template)
    if not start:
        return text
    head, start, _ = text.partition(start)
    return f"{head}{start}  # as in files/\n"


def difference(base, text, name):
    """A unified diff; the head of each hunk ends with the template that it is in."""
    base, text = base.splitlines(), text.splitlines()
    lines = []
    for line in difflib.unified_diff(base, text, f"{WHOLE[0]}.yaml", f"{name}.yaml", n=1, lineterm=""):
        if head := re.match(r"@@ -(\d+)", line):
            sources = [line for line in base[:int(head[1]) + 1] if line.startswith("# Source: ")]
            line += f" {sources[-1].rpartition('/')[2]}" if sources else ""
        lines.append(line + "\n")
    return "".join(lines)


def check_files(found, files):
    """Whether rules and dashboards are those of the chart's files, the place of the runbooks aside."""
    def rules(text):
        return yaml.load(re.sub("runbook_url: .*/", "runbook_url: ", text), Loader)

    if found["kind"] == "PrometheusRule":
        text = yaml.safe_dump(found["spec"], width=10**6)
        if not any(rules(text) == rules(file.read_text()) for file in files.glob("rules/*.yaml")):
            yield f"{key(found)}: its rules are none of {files}/rules"
    if found["metadata"]["labels"].get("grafana_dashboard"):
        for name, text in found["data"].items():
            if text != (files / "dashboards" / name).read_text():
                yield f"{key(found)}: {name} is not {files}/dashboards/{name}"


def refuse_all(folder, package, version):
    """Renders every bad values file, and returns those that were not refused as they should."""
    files = sorted(folder.glob("ci/bad/*.yaml"))
    mistakes = [] if files else [f"{folder}/ci/bad has no values files"]
    for file in files:
        text = file.read_text()
        expected = directive(text, "expect")
        if not expected:
            mistakes.append(f"bad/{file.name}: its first line does not begin with `# expect: `")
            continue
        try:
            render(package, text, version)
        except helm_python.HelmError as error:
            line = next((line for line in str(error).splitlines() if expected in line), None)
            if line:
                print(f"bad/{file.stem}: {line.strip()}")
            else:
                mistakes.append(f"bad/{file.name}: expected `{expected}`, got: {error}")
        else:
            mistakes.append(f"bad/{file.name}: was not refused")
    return mistakes


def refuse_without_files(package, out, version):
    """Whether a chart whose links were lost says so, rather than to install empty rules and dashboards."""
    folder = out / "lost"
    shutil.unpack_archive(package, folder)
    mistakes = []
    for value, content in [("prometheusRule", "rules"), ("dashboards", "dashboards")]:
        for file in (folder / f"heatsink/files/{content}").iterdir():
            # So git writes a link where it can make none.
            file.write_text(f"../../../../../monitoring/{content}/{file.name}")
        text = f"{{image: {{repository: heatsink}}, {value}: {{enabled: true}}}}"
        try:
            render(folder / "heatsink", text, version)
            mistakes.append(f"without {content}: was not refused")
        except helm_python.HelmError as error:
            if f"{value}.enabled: this copy of the chart has no {content}" not in str(error):
                mistakes.append(f"without {content}: {error}")
    shutil.rmtree(folder)
    return mistakes


def render(chart, text, version):
    """What Helm makes of a values file: the text of each template."""
    options = {
        "name": "heatsink",
        "namespace": "monitoring",
        "kube_version": f"v{version}.0",
        "api_versions": [] if directive(text, "apis") == "none" else [MONITORING],
    }
    with helm_python.Chart.load(chart) as chart:
        # Chart.render has no way to say which versions and APIs the cluster has; the call below it has.
        return json.loads(_native.call_string(
            "helm_render", chart._raw(), json.dumps(values_from_yaml(text)), json.dumps(options)))


def directive(text, name):
    """The text behind `# NAME: ` in the comments at the head of a file, or nothing."""
    head = re.match(r"(#.*\n)*", text)[0]
    found = re.search(rf"^# {name}: (.+)$", head, re.MULTILINE)
    return found and found[1].strip()


def split(rendered):
    """The documents of all templates: text, template, object."""
    for template, text in sorted(rendered.items()):
        if template == NOTES:
            continue
        for document in re.split(r"^---$", text, flags=re.MULTILINE):
            try:
                found = yaml.load(document, Loader)
            except yaml.YAMLError as error:
                raise ValueError(f"{template}: {error}") from error
            if found is not None:
                yield f"---\n# Source: {template}\n{document.strip()}\n", template, found


def install_order(document):
    _, template, found = document
    if found["kind"] not in KINDS:
        raise ValueError(f"{template}: a kind without a place in KINDS: {found['kind']}")
    return KINDS.index(found["kind"]), template


def check_lint(chart, text, version):
    report = lint(chart, values_from_yaml(text), strict=True, kube_version=f"v{version}.0")
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
        yield from duplicates("env", (variable["name"] for variable in container["env"]))
        yield from duplicates("volumeMounts", (mount["mountPath"] for mount in mounts))
        yield from duplicates("volumes", volumes)
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


def duplicates(what, names):
    names = list(names)
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{what}: {name} stands twice"


if __name__ == "__main__":
    main()
