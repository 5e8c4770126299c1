#!/usr/bin/env node
// Compiles src/*.sol with the pinned compiler and writes artifacts/<Name>.json.
// `--check` writes nothing: it exits 1 and names the files that differ from a fresh build.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createRequire } from "node:module";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "artifacts");

// Where each shipped contract is written. AccessManager and TimelockController are OpenZeppelin's, deployed as they are.
const SHIPPED = {
  AccessManager: "@openzeppelin/contracts/access/manager/AccessManager.sol",
  TestToken: "src/TestToken.sol",
  Members: "src/Members.sol",
  Programs: "src/Programs.sol",
  Enclaves: "src/Enclaves.sol",
  Datasets: "src/Datasets.sol",
  Market: "src/Market.sol",
  Rounds: "src/Rounds.sol",
  Epochs: "src/Epochs.sol",
  TimelockController: "@openzeppelin/contracts/governance/TimelockController.sol",
  HistoneGovernor: "src/HistoneGovernor.sol",
  Directory: "src/Directory.sol",
};

// Neither metadata hash nor CBOR trailer: the bytes depend on the code alone. Same settings in foundry.toml.
const settings = {
  optimizer: { enabled: true, runs: 200 },
  viaIR: true,
  evmVersion: "prague",
  metadata: { bytecodeHash: "none", appendCBOR: false },
};

// 2394: transient storage in general. Only OpenZeppelin's reentrancy guard uses it here, and it clears it after use.
const ACCEPTED = new Set(["2394"]);
// 6335: OpenZeppelin names functions `at`, which a later compiler will refuse; theirs to change, not ours to use.
const ACCEPTED_FROM_OTHERS = new Set(["6335"]);

function accepted(e) {
  if (e.severity === "info" || ACCEPTED.has(e.errorCode)) return true;
  const ours = e.sourceLocation?.file?.startsWith("src/") ?? true;
  return e.severity === "warning" && !ours && ACCEPTED_FROM_OTHERS.has(e.errorCode);
}

function compile() {
  const solc = createRequire(import.meta.url)("solc");
  const read = (path) =>
    readFileSync(path.startsWith("src/") ? join(here, path) : join(here, "node_modules", path), "utf8");
  const sources = {};
  for (const path of Object.values(SHIPPED)) sources[path] = { content: read(path) };
  const wanted = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "metadata"];
  const outputSelection = {};
  for (const [name, path] of Object.entries(SHIPPED)) outputSelection[path] = { [name]: wanted };
  const input = { language: "Solidity", sources, settings: { ...settings, outputSelection } };
  const findImports = (path) => {
    try {
      return { contents: read(path) };
    } catch (error) {
      return { error: String(error) };
    }
  };
  const result = JSON.parse(solc.compile(JSON.stringify(input), { import: findImports }));
  const problems = (result.errors ?? []).filter((e) => !accepted(e));
  if (problems.length > 0) {
    for (const e of problems) console.error(e.errorCode, e.formattedMessage);
    throw new Error(`${problems.length} compiler errors or warnings; warnings are refused too`);
  }
  const files = {};
  for (const [name, path] of Object.entries(SHIPPED)) {
    const c = result.contracts[path][name];
    const runtime = c.evm.deployedBytecode.object;
    // EIP-170: no network accepts a larger contract.
    if (runtime.length / 2 > 24_576) throw new Error(`${name} has ${runtime.length / 2} bytes; the limit is 24576`);
    const artifact = {
      contractName: name,
      abi: c.abi,
      bytecode: "0x" + c.evm.bytecode.object,
      // Immutable values are zero in the hashed code, so it differs from EXTCODEHASH where a contract has some.
      deployedBytecodeHash: "sha256:" + sha256(Buffer.from(runtime, "hex")),
      compiler: "solc " + solc.version(),
      settings,
      sourceHash: "sha256:" + sourceHash(JSON.parse(c.metadata)),
    };
    files[name + ".json"] = JSON.stringify(artifact, null, 2) + "\n";
    console.log(`${name.padEnd(14)} ${String(runtime.length / 2).padStart(6)} bytes`);
  }
  return files;
}

const sha256 = (data) => createHash("sha256").update(data).digest("hex");

// Over every file that the contract was compiled from, imports included: "<path> <keccak256>\n", sorted by path.
function sourceHash(metadata) {
  const lines = Object.entries(metadata.sources).map(([path, s]) => `${path} ${s.keccak256}\n`);
  return sha256(lines.sort().join(""));
}

function existing() {
  try {
    return readdirSync(out);
  } catch (error) {
    if (error.code === "ENOENT") return [];
    throw error;
  }
}

function main() {
  const args = process.argv.slice(2);
  const check = args.includes("--check");
  const unknown = args.filter((a) => a !== "--check");
  if (unknown.length > 0) throw new Error(`unknown argument \`${unknown[0]}\`; usage: node build.mjs [--check]`);
  const files = compile();
  const stale = existing().filter((name) => !(name in files));
  if (!check) {
    mkdirSync(out, { recursive: true });
    for (const name of stale) rmSync(join(out, name));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(out, name), text);
    return 0;
  }
  const differing = Object.keys(files).filter((name) => {
    try {
      return readFileSync(join(out, name), "utf8") !== files[name];
    } catch {
      return true;
    }
  });
  for (const name of [...differing, ...stale]) console.error(`differs from a fresh build: contracts/artifacts/${name}`);
  if (differing.length + stale.length === 0) {
    console.log("artifacts are what the sources give");
    return 0;
  }
  console.error("run `cargo xtask contracts` and commit the result");
  return 1;
}

try {
  process.exitCode = main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
