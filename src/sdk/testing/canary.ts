import { AssertionError } from "node:assert/strict";
import { inspect } from "node:util";

const AROUND = 80;

/**
 * Fails when these bytes are anywhere in the value: as text or bytes, in hexadecimal, in base64 at any place, in errors with their causes, in
 * values inside each other. `whose` is for the message.
 */
export function assertAbsent(canary: string, value: unknown, whose: string): void {
  const text = value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : flatten(value);
  const form = formsOf(canary).find((each) => text.includes(each));
  if (form === undefined) return;
  const at = text.indexOf(form);
  const shown = text.slice(Math.max(0, at - AROUND), at + form.length + AROUND);
  throw new AssertionError({ message: `bytes of ${whose} reached somebody else: …${shown}…` });
}

/** The canary as it may have been written by somebody in between. */
function formsOf(canary: string): readonly string[] {
  const bytes = Buffer.from(canary);
  // what comes before decides on which of three places a byte is encoded; the groups at the edges hold other bytes too
  const encoded = [0, 1, 2].map((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString("base64url");
    return text.slice(4, Math.floor((offset + bytes.length) / 3) * 4);
  });
  return [canary, bytes.toString("hex"), ...encoded];
}

/** All text in the value: JSON for rows, which are many, and inspection for errors, whose parts JSON leaves out. */
function flatten(value: unknown): string {
  if (typeof value === "string") return value;
  const errors: unknown[] = [];
  const rows = JSON.stringify(value, (_, part: unknown) => {
    if (part instanceof Error) errors.push(part);
    return typeof part === "bigint" ? String(part) : part;
  });
  return `${rows} ${inspect(errors.length > 0 ? errors : value, { depth: 8, maxStringLength: Infinity, showHidden: true })}`;
}
