#!/usr/bin/env node
// The gate of CI: tests with warnings refused, artifacts compared, slither.
// A tool that is not installed is skipped with a word about it; where CI=true it is a failure.
//
//   python3 -m venv .venv && .venv/bin/pip install slither-analyzer==0.11.6
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const bin = process.platform === "win32" ? "Scripts" : "bin";
const exe = process.platform === "win32" ? ".exe" : "";
// Slither looks for forge on the path.
const path = [join(here, ".venv", bin), join(here, "node_modules", ".bin"), process.env.PATH].join(delimiter);
const env = { ...process.env, PATH: path };
const ci = process.env.CI === "true";

const missing = [];
const failed = [];

function run(name, command, args, more = {}) {
  console.log(`\n== ${name}: ${[command, ...args].join(" ")}`);
  const done = spawnSync(command, args, { cwd: here, stdio: "inherit", env: { ...env, ...more } });
  if (done.error?.code === "ENOENT") missing.push(name);
  else if (done.status !== 0) failed.push(name);
}

// The reasons stand beside the findings; a finding that is hidden without one is not accepted.
function triageHasReasons() {
  const findings = JSON.parse(readFileSync(join(here, "slither.triage.json"), "utf8"));
  const without = findings.filter((f) => typeof f.reason !== "string" || f.reason === "");
  for (const f of without) console.error(`slither.triage.json: no reason for ${f.check} ${f.id}`);
  if (without.length > 0) failed.push("slither.triage.json");
}

const forge = join(here, "node_modules", ".bin", "forge");
if (!existsSync(forge)) {
  console.error("the development packages are not installed; run `npm ci` in contracts/");
  process.exit(1);
}
run("forge", forge, ["test", "--offline"]);
run("artifacts", process.execPath, ["build.mjs", "--check"]);
triageHasReasons();
// Directories of its own: slither rebuilds everything, and would make forge do so too.
run("slither", `slither${exe}`, ["."], {
  FOUNDRY_OUT: "node_modules/.cache/forge/slither",
  FOUNDRY_CACHE_PATH: "node_modules/.cache/forge/slither-cache",
});

for (const name of missing) {
  console.error(`${ci ? "missing" : "skipped"}: ${name} is not installed; the head of audit.mjs says how`);
}
for (const name of failed) console.error(`failed: ${name}`);
process.exitCode = failed.length > 0 || (ci && missing.length > 0) ? 1 : 0;
