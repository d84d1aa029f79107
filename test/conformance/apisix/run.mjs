// Program: `npm run conformance:apisix` plays the cases and prints what passes per area. Flags are the player's: --area, --id, --verbose.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const PORT = "2984";
/** APISIX's own cases, and ours for what those do not touch. */
const FILES = ["cases.json", "own-cases.json"];

const folder = mkdtempSync(path.join(tmpdir(), "freehold-cases-"));
cpSync(HERE, folder, { recursive: true });
const inFolder = { cwd: folder, stdio: ["ignore", "pipe", "inherit"] };
const certificate = [
  "-x509",
  "-newkey",
  "ec",
  "-pkeyopt",
  "ec_paramgen_curve:prime256v1",
  "-nodes",
  "-days",
  "30",
  "-subj",
  "/CN=test.com",
];
execFileSync("openssl", ["req", ...certificate, "-keyout", "upstream.key", "-out", "upstream.crt"], { cwd: folder, stdio: "ignore" });
const upstream = spawn(process.execPath, ["upstream.mjs"], inFolder);
try {
  await once(upstream.stdout, "data");
  const played = [];
  for (const cases of FILES) played.push(await play(cases));
  report(Object.assign({}, ...played));
} finally {
  upstream.kill();
  execFileSync(path.join(HERE, "apply.sh"), ["stop", PORT]);
  rmSync(folder, { recursive: true, force: true });
}

/** What passed of a file's cases, by area. */
async function play(cases) {
  const flags = ["--port", PORT, "--apply", path.join(HERE, "apply.sh"), "--set", "usable", "--out", "result.json", "--cases", cases];
  const player = spawn(process.execPath, ["replay.mjs", ...flags, ...process.argv.slice(2)], { cwd: folder, stdio: "inherit" });
  const [code] = await once(player, "exit");
  if (code !== 0) throw new Error(`the player ended with ${String(code)}`);
  return JSON.parse(readFileSync(path.join(folder, "result.json"), "utf8")).by;
}

function report(by) {
  const ours = Object.entries(by);
  for (const [area, { n, pass }] of ours.toSorted(([a], [b]) => a.localeCompare(b))) {
    process.stdout.write(`${area.padEnd(48)} ${String(pass).padStart(4)} of ${String(n).padStart(4)}${pass < n ? "  *" : ""}\n`);
  }
  const sum = (pick) => ours.reduce((total, [, counts]) => total + pick(counts), 0);
  const [pass, all] = [sum(({ pass: one }) => one), sum(({ n }) => n)];
  process.stdout.write(
    `${"routing and the plugins that are built in".padEnd(48)} ${pass} of ${all} (${((pass / all) * 100).toFixed(1)} %)\n`,
  );
}
