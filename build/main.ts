/** Makes `dist` (or the folder that is named), which is published: `npm run build && npm pack ./dist`. Sources run as they are; packages of npm have to be JavaScript. */
import { execFileSync } from "node:child_process";
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

const ROOT = path.join(import.meta.dirname, "..");
const DIST = path.resolve(process.argv[2] ?? path.join(ROOT, "dist"));
/** What is published runs without the Node that comes with development. */
const NODE_MIN = ">=24";

/** The parts of package.json that concern whoever installs the package. */
interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly license: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly type: string;
  readonly exports: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta: Readonly<Record<string, object>>;
}

rmSync(DIST, { recursive: true, force: true });
execFileSync(path.join(ROOT, "node_modules/.bin/tsc"), ["-p", path.join(import.meta.dirname, "tsconfig.json"), "--outDir", DIST], {
  stdio: "inherit",
});
for (const name of ["bin", "README.md", "CHANGELOG.md", "LICENSE"])
  cpSync(path.join(ROOT, name), path.join(DIST, name), { recursive: true });
// what browsers get is no TypeScript
cpSync(path.join(ROOT, "src/control/widget"), path.join(DIST, "src/control/widget"), { recursive: true });
writeFileSync(path.join(DIST, "package.json"), `${JSON.stringify(publishedManifest(), null, 2)}\n`);

function publishedManifest(): object {
  const manifest = JSON.parse(readFileSync(path.join(ROOT, "package.json"), "utf8")) as Manifest; // our own file
  const { name, version, description, license, bin, type, exports, dependencies, peerDependencies, peerDependenciesMeta } = manifest;
  const engines = { node: NODE_MIN };
  const built = Object.fromEntries(Object.entries(exports).map(([door, file]) => [door, toBuilt(file)]));
  return { name, version, description, license, bin, type, exports: built, engines, dependencies, peerDependencies, peerDependenciesMeta };
}

/** Where a source file is in the build: its types and its JavaScript. Other files stay what they are. */
function toBuilt(file: string): string | { readonly types: string; readonly default: string } {
  if (!file.endsWith(".ts")) return file;
  const stem = file.slice(0, -".ts".length);
  return { types: `${stem}.d.ts`, default: `${stem}.js` };
}
