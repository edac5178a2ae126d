// Checks every dashboard against the types that Grafana itself is written with, once for each major
// version. TypeScript does the work: the JSON becomes a typed literal, and whatever Grafana would
// not know, or would expect in another form, is a compile error.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const dashboards = join(here, "..");
const build = mkdtempSync(join(tmpdir(), "heatsink-dashboards-"));
const versions = ["11", "12", "13"];

// Where the options of each panel type are declared.
const panelTypes = {
  stat: ["stat", "StatPanelCfg"],
  timeseries: ["timeseries", "TimeSeriesPanelCfg"],
  table: ["table", "TablePanelCfg"],
  bargauge: ["bargauge", "BarGaugePanelCfg"],
  "state-timeline": ["statetimeline", "StateTimelinePanelCfg"],
  text: ["text", "TextPanelCfg"],
};
// Those whose fields have settings of their own.
const withFields = new Set(["timeseries", "table", "state-timeline"]);

// String enums are their values in JSON.
const json = `
type Json<T> = T extends (infer E)[] ? Json<E>[]
  : T extends string ? \`\${T}\`
  : T extends object ? { [K in keyof T]: Json<T[K]> }
  : T;
`;

function imports(version) {
  const lines = [`import type { Dashboard, TableFieldOptions } from "@grafana/schema";`];
  for (const [folder, file] of Object.values(panelTypes)) {
    const path = `schema-${version}/dist/esm/raw/composable/${folder}/panelcfg/x/${file}_types.gen`;
    lines.push(`import type * as ${file} from "${path}";`);
  }
  return lines.join("\n");
}

// Settings of an annotation that belong to the Prometheus data source, which has its types elsewhere.
const ofDataSource = ["titleFormat", "textFormat", "useValueForTime"];
const ofItsQuery = ["expr", "interval"];

// The dashboard as a whole, and what it leaves open: the options and fields of each panel.
function source(dashboard, version) {
  const whole = structuredClone(dashboard);
  for (const annotation of whole.annotations.list) {
    for (const setting of ofDataSource) delete annotation[setting];
    for (const setting of ofItsQuery) delete annotation.target[setting];
  }
  const checks = [`export const dashboard: Json<Dashboard> = ${JSON.stringify(whole, null, 1)};`];
  for (const panel of dashboard.panels) {
    if (panel.type === "row") continue;
    const known = panelTypes[panel.type];
    if (known === undefined) throw new Error(`no types for a panel of type ${panel.type}`);
    const name = `panel${panel.id}`;
    const file = known[1];
    checks.push(`export const ${name}: Json<Partial<${file}.Options>> = ${JSON.stringify(panel.options)};`);
    if (!withFields.has(panel.type)) continue;
    const fields = panel.type === "table" ? "TableFieldOptions" : `${file}.FieldConfig`;
    const custom = panel.fieldConfig.defaults.custom ?? {};
    checks.push(`export const ${name}fields: Json<Partial<${fields}>> = ${JSON.stringify(custom)};`);
    for (const [index, property] of panel.fieldConfig.overrides.flatMap((o) => o.properties).entries()) {
      if (!property.id.startsWith("custom.")) continue;
      const key = JSON.stringify(property.id.slice("custom.".length));
      const value = JSON.stringify(property.value);
      checks.push(`export const ${name}property${index}: Json<Required<${fields}>[${key}]> = ${value};`);
    }
  }
  return `${imports(version)}\n${json}\n${checks.join("\n")}\n`;
}

function compile(version, files) {
  const folder = join(build, version);
  mkdirSync(folder, { recursive: true });
  for (const [name, dashboard] of files) {
    writeFileSync(join(folder, `${name}.ts`), source(dashboard, version));
  }
  const configuration = {
    compilerOptions: {
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      module: "esnext",
      moduleResolution: "bundler",
      target: "es2022",
      types: [],
      baseUrl: here,
      paths: {
        "@grafana/schema": [`node_modules/schema-${version}`],
        "schema-11/dist/*": ["node_modules/schema-11/dist/*"],
        "schema-12/dist/*": ["node_modules/schema-12/dist/*"],
        "schema-13/dist/*": ["node_modules/schema-13/dist/*"],
      },
    },
    include: ["*.ts"],
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(configuration));
  const tsc = join(here, "node_modules", "typescript", "bin", "tsc");
  const run = spawnSync(process.execPath, [tsc, "--project", folder], { encoding: "utf8" });
  return run.status === 0 ? "" : `${run.stdout}${run.stderr}`;
}

// Mistakes that have to be found, or the check checks nothing.
const mistakes = {
  "a setting that does not exist": (d) => { d.graphTooltips = 1; },
  "a value that is none of its kind": (d) => { d.panels.find((p) => p.type === "timeseries").options.legend.displayMode = "lst"; },
  "an option of another panel": (d) => { d.panels.find((p) => p.type === "stat").options.showHeader = true; },
  "a field setting misspelt": (d) => { d.panels.find((p) => p.type === "timeseries").fieldConfig.defaults.custom.fillOpacty = 1; },
};

const files = readdirSync(dashboards)
  .filter((name) => name.endsWith(".json"))
  .map((name) => [name.replace(/\.json$/, ""), JSON.parse(readFileSync(join(dashboards, name), "utf8"))]);
if (files.length === 0) throw new Error("no dashboards to check");
let failed = false;
for (const version of versions) {
  const said = compile(version, files);
  if (said !== "") {
    failed = true;
    console.error(`Grafana ${version}:\n${said}`);
  } else {
    console.log(`Grafana ${version}: ${files.length} dashboards are as its types want them`);
  }
}
for (const [name, make] of Object.entries(mistakes)) {
  const broken = structuredClone(files[0][1]);
  make(broken);
  rmSync(join(build, "12"), { recursive: true, force: true });
  if (compile("12", [["broken", broken]]) === "") {
    failed = true;
    console.error(`not found: ${name}`);
  }
}
rmSync(build, { recursive: true, force: true });
process.exit(failed ? 1 : 0);
