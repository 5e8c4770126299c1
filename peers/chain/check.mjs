// Runs ethers and cast against `histone chain serve`. Usage: node check.mjs PATH-OF-HISTONE
//
// Each check is a function; the first failure ends the program with status 1 and the server's stderr.

import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ethers } from "ethers";

const histone = process.argv[2];
const here = import.meta.dirname;
const token = JSON.parse(readFileSync(join(here, "../../contracts/artifacts/TestToken.json"), "utf8"));
const scratch = mkdtempSync(join(tmpdir(), "histone-peers-"));
const deadline = setTimeout(() => fail(new Error("the checks took more than 120 s")), 120_000);
const servers = new Set();

function fail(error) {
  console.error(error);
  for (const server of servers) {
    console.error(`stderr of the server:\n${server.stderr}`);
    server.child.kill("SIGKILL");
  }
  rmSync(scratch, { recursive: true, force: true });
  process.exit(1);
}

/** Starts a server on a free port and waits for the line that says where it is. */
async function serve(dir, ...more) {
  const child = spawn(histone, ["chain", "serve", "--dir", dir, "--port", "0", "--json", "--dev", ...more]);
  const server = { child, stderr: "" };
  servers.add(server);
  child.stderr.on("data", (data) => (server.stderr += data));
  server.exit = new Promise((resolve) => child.on("exit", (code, signal) => resolve({ code, signal })));
  server.facts = await new Promise((resolve, reject) => {
    let text = "";
    child.stdout.on("data", (data) => {
      text += data;
      if (text.includes("\n")) resolve(JSON.parse(text));
    });
    child.on("exit", () => reject(new Error(`the server ended at once: ${server.stderr}`)));
  });
  return server;
}

async function end(server, signal) {
  server.child.kill(signal);
  servers.delete(server);
  return server.exit;
}

/** Runs a command that must end in time; its stdout. */
function run(program, args) {
  return execFileSync(program, args, { encoding: "utf8", timeout: 30_000, stdio: ["ignore", "pipe", "pipe"] }).trim();
}

/** Runs histone, which must refuse with one sentence. */
function refused(args, sentence) {
  const { status, stdout, stderr } = spawnSync(histone, args, { encoding: "utf8", timeout: 30_000 });
  assert.equal(status, 1, stderr);
  assert.equal(stdout, "");
  assert.match(stderr, sentence);
  assert.equal(stderr.trim().split("\n").length, 1, stderr);
}

/** ethers over HTTP and WebSocket. */
async function withEthers(facts) {
  // ethers answers a repeated question from its memory for 250 ms, the next nonce too. A block here takes a millisecond.
  const http = new ethers.JsonRpcProvider(facts.http, undefined, { cacheTimeout: -1 });
  const socket = new ethers.WebSocketProvider(facts.websocket);
  assert.equal((await http.getNetwork()).chainId, BigInt(facts.chain_id));
  const keys = facts.accounts.map((account) => account.insecure_key);
  const owner = new ethers.Wallet(keys[0], http);
  const other = new ethers.Wallet(keys[1], http);
  assert.equal(owner.address, ethers.getAddress(facts.accounts[0].address));

  const factory = new ethers.ContractFactory(token.abi, token.bytecode, owner);
  const contract = await factory.deploy(owner.address);
  const deployed = await contract.deploymentTransaction().wait();
  assert.equal(deployed.status, 1);
  const address = await contract.getAddress();
  assert.equal(deployed.contractAddress, address);
  assert.notEqual(await http.getCode(address), "0x");
  assert.equal(await contract.symbol(), "TEST");

  const heads = [];
  const heard = [];
  await socket.on("block", (number) => heads.push(number));
  await new ethers.Contract(address, token.abi, socket).on("Transfer", (from, to, value, event) =>
    heard.push([from, to, value, event.log.transactionHash]),
  );
  // The subscriptions are there when the server has answered something sent after them.
  const before = await socket.getBlockNumber();
  await new Promise((resolve) => setTimeout(resolve, 300));

  const minted = await (await contract.mint(owner.address, 1_000n)).wait();
  const moved = await (await contract.transfer(other.address, 250n)).wait();
  assert.equal(await contract.balanceOf(other.address), 250n);
  const paid = await (await owner.sendTransaction({ to: other.address, value: 5n })).wait();
  assert.equal(paid.gasUsed, 21_000n);

  const events = await contract.queryFilter(contract.filters.Transfer(), 0, "latest");
  const expected = [
    [ethers.ZeroAddress, owner.address, 1_000n, minted.hash],
    [owner.address, other.address, 250n, moved.hash],
  ];
  assert.deepEqual(events.map((event) => [...event.args, event.transactionHash]), expected);

  // A custom error, from a call and before a transaction is sent.
  const asOther = contract.connect(other);
  for (const attempt of [() => asOther.mint.staticCall(other.address, 1n), () => asOther.mint(other.address, 1n)]) {
    await assert.rejects(attempt, (error) => {
      assert.equal(error.code, "CALL_EXCEPTION");
      const data = error.data ?? error.info?.error?.data;
      assert.equal(contract.interface.parseError(data).name, "OwnableUnauthorizedAccount");
      return true;
    });
  }
  await assert.rejects(owner.sendTransaction({ to: other.address, nonce: 0 }), { code: "NONCE_EXPIRED" });
  await assert.rejects(
    new ethers.Wallet(ethers.id("nobody"), http).sendTransaction({ to: other.address, value: 1n }),
    { code: "INSUFFICIENT_FUNDS" },
  );

  const block = await http.getBlock("latest", true);
  assert.equal(block.prefetchedTransactions[0].hash, paid.hash);
  const fees = await http.getFeeData();
  assert.equal(fees.gasPrice, 0n);
  assert.equal((await http.getTransaction(moved.hash)).to, address);
  // Many requests at once travel as one batch.
  const balances = await Promise.all(facts.accounts.map(({ address }) => http.getBalance(address)));
  assert.equal(balances.length, 10);

  for (let tries = 0; tries < 50 && (heard.length < 2 || heads.at(-1) < paid.blockNumber); tries++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.deepEqual(heard, expected);
  assert.equal(heads.at(-1), paid.blockNumber);
  assert.ok(heads.filter((number) => number > before).length >= 1);
  await socket.destroy();
  http.destroy();
  return { address, paid };
}

/** cast over HTTP and WebSocket. */
function withCast(cast, facts, address) {
  const [owner, other] = facts.accounts;
  const call = (command, ...args) => run(cast, [command, "--rpc-url", facts.http, ...args]);
  const send = (...args) => JSON.parse(call("send", "--json", "--private-key", owner.insecure_key, ...args));
  assert.equal(call("chain-id"), String(facts.chain_id));
  assert.match(call("client"), /^histone-chain\//);
  assert.match(call("call", address, "symbol()(string)"), /TEST/);

  const constructor = ethers.AbiCoder.defaultAbiCoder().encode(["address"], [owner.address]).slice(2);
  const created = send("--create", token.bytecode + constructor);
  assert.equal(created.status, "0x1");
  const mine = created.contractAddress;
  assert.equal(send(mine, "mint(address,uint256)", other.address, "77").status, "0x1");
  assert.equal(call("call", mine, "balanceOf(address)(uint256)", other.address), "77");
  const logs = JSON.parse(
    call("logs", "--json", "--from-block", "0", "--address", mine, "Transfer(address,address,uint256)"),
  );
  assert.equal(logs.length, 1);
  assert.equal(BigInt(logs[0].data), 77n);
  assert.equal(send(other.address, "--value", "3").gasUsed, "0x5208");
  assert.equal(send(other.address, "--value", "3", "--legacy", "--gas-price", "0").type, "0x0");
  assert.ok(Number(call("estimate", mine, "decimals()(uint8)")) > 21_000);
  assert.throws(
    () => call("send", "--private-key", other.insecure_key, mine, "mint(address,uint256)", other.address, "1"),
    /reverted/,
  );
  const height = call("block-number");
  assert.equal(run(cast, ["block-number", "--rpc-url", facts.websocket]), height);
  const block = JSON.parse(call("block", height, "--json"));
  assert.equal(BigInt(block.number), BigInt(height));
  assert.throws(() => call("rpc", "eth_nothing"), /-32601/);
}

/** Blocks by the clock: wallets count on, receipts come later. */
async function byTheClock() {
  const server = await serve(join(scratch, "slow"), "--block-time", "1");
  const http = new ethers.JsonRpcProvider(server.facts.http, undefined, { pollingInterval: 200 });
  const wallet = new ethers.NonceManager(new ethers.Wallet(server.facts.accounts[2].insecure_key, http));
  const sent = [];
  for (let value = 1n; value <= 4n; value++) sent.push(await wallet.sendTransaction({ to: ethers.ZeroAddress, value }));
  assert.deepEqual(sent.map((transaction) => transaction.nonce), [0, 1, 2, 3]);
  const receipts = await Promise.all(sent.map((transaction) => transaction.wait()));
  assert.ok(receipts.every((receipt) => receipt.status === 1));
  assert.ok(await http.getBlockNumber() < 4, "transactions share a block");
  http.destroy();
  assert.deepEqual(await end(server, "SIGTERM"), { code: 0, signal: null });
}

/** `cast` from npm, or undefined where npm has none for this machine. */
function findCast() {
  const path = join(here, "node_modules/@foundry-rs/cast-linux-amd64/bin/cast");
  if (existsSync(path)) return path;
  if (process.env.CI) throw new Error("CI needs `cast`, and npm has installed none");
  console.log("skipped  cast: npm has installed none for this machine");
}

async function checks() {
  const dir = join(scratch, "chain");
  let server = await serve(dir);
  if (process.platform !== "win32") {
    assert.equal(statSync(`${dir}.private/sequencer.key`).mode & 0o777, 0o600);
  }
  const { address, paid } = await withEthers(server.facts);
  console.log("holds    ethers: deploy, send, read, refuse, batch, subscribe");
  const cast = findCast();
  if (cast) {
    withCast(cast, server.facts, address);
    console.log("holds    cast: deploy, send, read, refuse, WebSocket");
  }

  const port = new URL(server.facts.http).port;
  refused(["chain", "serve", "--dir", join(scratch, "new"), "--port", port], /another program listens on 127/);
  assert.ok(!existsSync(join(scratch, "new")), "a refused start leaves nothing");
  refused(["chain", "serve", "--dir", dir, "--port", "0", "--dev"], /another process holds this chain/);
  refused(["chain", "status", dir], /another process holds/);
  const status = JSON.parse(run(histone, ["chain", "status", server.facts.http, "--json"]));
  console.log("holds    one writer, one port");

  const copy = join(scratch, "copy");
  const follow = ["chain", "follow", server.facts.http, copy, "--once"];
  assert.match(run(histone, follow), new RegExp(`^every block to ${status.block} holds\nhead ${status.head}$`));
  assert.equal(JSON.parse(run(histone, ["chain", "replay", copy, "--json"])).head, status.head);
  refused([...follow, "--genesis", ethers.ZeroHash], /the chain begins with block 0 0x/);
  console.log("holds    followed by a replica");

  // A receipt that was seen survives the death of the process, and the next start goes on from it.
  assert.equal((await end(server, "SIGKILL")).signal, "SIGKILL");
  server = await serve(dir);
  assert.equal(server.facts.head, status.head);
  const http = new ethers.JsonRpcProvider(server.facts.http);
  assert.equal((await http.getTransactionReceipt(paid.hash)).blockHash, paid.blockHash);
  http.destroy();
  assert.deepEqual(await end(server, "SIGTERM"), { code: 0, signal: null });
  assert.match(server.stderr, /stopped at block \d+/);
  const replayed = JSON.parse(run(histone, ["chain", "replay", dir, "--json"]));
  assert.equal(replayed.head, status.head);
  const offline = JSON.parse(run(histone, ["chain", "status", dir, "--json"]));
  assert.equal(offline.head, status.head);
  assert.equal(offline.transactions, replayed.transactions);
  console.log("holds    killed, continued, stopped, replayed");

  // Another chain with the same key and keys of users, at the address where the first one was.
  rmSync(dir, { recursive: true });
  server = await serve(dir);
  refused(["chain", "follow", server.facts.http, copy, "--once"], /has no block \d+, which this copy has/);
  await end(server, "SIGTERM");
  console.log("holds    a rewritten history shows");

  await byTheClock();
  console.log("holds    blocks by the clock");
}

checks().then(() => {
  clearTimeout(deadline);
  rmSync(scratch, { recursive: true, force: true });
}, fail);
