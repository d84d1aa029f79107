import { styleText } from "node:util";
import { FAULTS, toFault } from "../kernel/index.ts";

/** Writes a line for machines or people to standard output. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Writes what goes on to standard error, where it does not mix with what is piped on. */
export function progress(text: string): void {
  process.stderr.write(`${dim(text)}\n`);
}

/** Bold where the terminal shows it. */
export function bold(text: string): string {
  return styleText("bold", text, { stream: process.stdout });
}

/** Faint where the terminal shows it. */
function dim(text: string): string {
  return styleText("dim", text, { stream: process.stderr });
}

/** Rows as an aligned table with a heading, or as JSON for machines. */
export function printRows(rows: readonly Readonly<Record<string, unknown>>[], columns: readonly string[], json: boolean | undefined): void {
  if (json) return print(JSON.stringify(rows));
  if (rows.length === 0) return print("none");
  const cells = rows.map((row) => columns.map((column) => toCell(row[column])));
  const widths = columns.map((column, i) => Math.max(column.length, ...cells.map((line) => line[i]?.length ?? 0)));
  const line = (parts: readonly string[]): string =>
    parts
      .map((part, i) => part.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd();
  print(bold(line(columns)));
  for (const parts of cells) print(line(parts));
}

/** One thing as `name  value` lines, or as JSON for machines. */
export function printOne(value: Readonly<Record<string, unknown>>, json: boolean | undefined): void {
  if (json) return print(JSON.stringify(value));
  const width = Math.max(...Object.keys(value).map((name) => name.length));
  for (const [name, part] of Object.entries(value)) print(`${bold(name.padEnd(width))}  ${toCell(part)}`);
}

/** Says what went wrong and what to do, and gives the exit code. */
export function printFailure(error: unknown, json: boolean | undefined): number {
  const fault = toFault(error);
  const detail = fault.public.detail ?? (fault.code === "internal" ? fault.message : FAULTS[fault.code].title);
  if (json) process.stderr.write(`${JSON.stringify({ code: fault.code, detail })}\n`);
  else process.stderr.write(`${styleText("red", "error", { stream: process.stderr })} ${fault.code}: ${detail}\n`);
  return 1;
}

function toCell(value: unknown): string {
  if (value === null || value === undefined) return "-";
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return value.length === 0 ? "-" : value.map(toCell).join(", ");
  if (typeof value === "object") {
    const parts = Object.entries(value).map(([name, part]) => `${name}=${toCell(part)}`);
    return parts.length === 0 ? "-" : parts.join(" ");
  }
  return JSON.stringify(value);
}
