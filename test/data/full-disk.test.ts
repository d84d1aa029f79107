import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { templateFolder } from "../support/databases.ts";
import { temporaryFolder } from "../support/engines.ts";

/** What the program on the small file system saw. */
export interface FullDiskReport {
  readonly acknowledged: readonly string[];
  /** The codes of the faults while it was full. */
  readonly refused: readonly string[];
  /** The rows that are there after space was freed. */
  readonly found: readonly string[];
  readonly healthy: boolean;
}

const MB = 1024 * 1024;
const PROGRAM = new URL("full-disk-program.ts", import.meta.url).pathname;

describe("an embedded store whose disk is full", () => {
  for (const [what, leave] of [
    ["rows", 1 * MB],
    ["the engine's log", 12 * MB],
  ] as const) {
    test(`says so, never hangs, and has all that was acknowledged when there is space again (no space for ${what})`, async () => {
      const report = runOnSmallDisk(await templateFolder(), leave);
      assert.ok(report.acknowledged.includes("after"));
      assert.ok(report.refused.length > 0);
      assert.deepEqual(new Set(report.refused), new Set(["storage_full"]));
      assert.equal(report.healthy, false);
      assert.deepEqual(report.acknowledged.toSorted(), report.found.toSorted());
    });
  }
});

/** Ways to a file system of limited size: one mounted for the program alone, by root or in a name space, or one that is small already. */
function runOnSmallDisk(template: string, leave: number): FullDiskReport {
  const mounted = temporaryFolder();
  const mount = `mount -t tmpfs -o size=128m tmpfs "$0" && exec "$@"`;
  const program = [process.execPath, PROGRAM];
  const ways = ["--mount", "--user --map-root-user --mount"].map((flags) => [
    "unshare",
    ...flags.split(" "),
    "sh",
    "-c",
    mount,
    mounted,
    ...program,
    mounted,
  ]);
  const [way] = ways.filter(([command = "", ...args]) => spawnSync(command, [...args.slice(0, -3), "true"]).status === 0);
  if (way) return run([...way, template, String(leave)]);
  const small = smallFileSystem();
  try {
    return run([...program, small, template, String(leave)]);
  } finally {
    rmSync(small, { recursive: true, force: true });
  }
}

function run([command = "", ...args]: readonly string[]): FullDiskReport {
  const { stdout, stderr, status } = spawnSync(command, args, { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as FullDiskReport; // the program's one line
}

/** In a container that may not mount, shared memory is a file system of 64 MB. */
function smallFileSystem(): string {
  const { blocks, bsize } = statfsSync("/dev/shm");
  assert.ok(blocks * bsize <= 512 * MB, "this machine lets no file system be mounted and has no small one");
  return mkdtempSync(path.join("/dev/shm", "freehold-test-"));
}
