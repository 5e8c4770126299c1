#!/usr/bin/env node
// `node syntax.mjs DIR` parses src/*.sol and writes DIR/build-info/syntax.json, for slither: one file of all sources as
// they are now. What forge leaves after an incremental build is several files of several ages, which slither mixes up;
// and slither needs no code, whose generation takes ten times as long.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createRequire } from "node:module";

const here = dirname(fileURLToPath(import.meta.url));
const solc = createRequire(import.meta.url)("solc");
const [out, ...rest] = process.argv.slice(2);
if (out === undefined || rest.length > 0) throw new Error("usage: node syntax.mjs DIR");

const sources = {};
const read = (path) => (sources[path] = { content: readFileSync(join(here, path), "utf8") }).content;
for (const name of readdirSync(join(here, "src"))) if (name.endsWith(".sol")) read(`src/${name}`);
const settings = {
  // Names that are paths, so that slither finds the files.
  remappings: ["@openzeppelin/contracts/=node_modules/@openzeppelin/contracts/"],
  evmVersion: "prague",
  outputSelection: { "*": { "": ["ast"], "*": ["abi"] } },
};
const findImports = (path) => {
  try {
    return { contents: read(path) };
  } catch (error) {
    return { error: String(error) };
  }
};
const input = { language: "Solidity", sources: { ...sources }, settings };
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: findImports }));
const errors = (output.errors ?? []).filter((e) => e.severity === "error");
for (const e of errors) console.error(e.formattedMessage);
if (errors.length > 0) process.exit(1);

// Slither's reader insists on fields for code and does not look into them.
const none = { object: "", sourceMap: "" };
for (const file of Object.values(output.contracts)) {
  for (const contract of Object.values(file)) contract.evm = { bytecode: none, deployedBytecode: none };
}
mkdirSync(join(out, "build-info"), { recursive: true });
const solcVersion = solc.version().split("+")[0];
const info = { solcVersion, input: { ...input, sources }, output };
writeFileSync(join(out, "build-info", "syntax.json"), JSON.stringify(info));
