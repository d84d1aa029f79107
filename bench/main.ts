/** Program: `npm run bench -- [name…] [--quick] [--json]` measures and prints a table for each bench. */
import { parseArgs } from "node:util";
import type { Bench, Row } from "./bench.ts";
import { BENCHES } from "./benches.ts";
import { describeMachine } from "./machine.ts";
import { toTable } from "./table.ts";

const names = BENCHES.map(({ name }) => name);
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: "boolean", default: false }, json: { type: "boolean", default: false } },
});
const unknown = positionals.filter((name) => !names.includes(name));
if (unknown.length > 0) {
  console.error(`There is no bench ${unknown.join(", ")}. There are: ${names.join(", ")}.`);
  process.exit(2);
}
const chosen = positionals.length === 0 ? BENCHES : BENCHES.filter(({ name }) => positionals.includes(name));
const rows: Row[] = [];
for (const bench of chosen) rows.push(...(await measured(bench)));
if (values.json) console.log(JSON.stringify({ rows }));
process.exit();

async function measured(bench: Bench): Promise<readonly Row[]> {
  const startedMs = performance.now();
  console.log(`\n${bench.name}: ${describeMachine(new Date())}${values.quick ? ", quick: rough figures" : ""}\n`);
  const found = await bench.run({ quick: values.quick });
  console.log(toTable(found));
  console.log(`\n${Math.round((performance.now() - startedMs) / 1000)} s`);
  return found.map((row) => ({ bench: bench.name, ...row }));
}
