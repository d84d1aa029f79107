import { Fault } from "../../kernel/index.ts";
import type { HeaderEdit } from "../http.ts";
import { TEXT, TOKEN } from "./characters.ts";
import { AT, HOP_MASK, isName, KIND, STRIDE, toSearched } from "./field-names.ts";
import type { Fields } from "./fields.ts";

const GONE = 1;

/** The fields of a head with some lines cut out and some added. The lines that stay are sent as they came. */
export class FieldEdit implements HeaderEdit {
  readonly #source: Fields;
  /** {@link GONE} for each field of the source that is cut out; shorter when the last ones stay. */
  readonly #cut: number[] = [];
  /** Name in lower case, name, value. */
  #added: string[] = [];
  /** Lines that nobody has looked into since they were appended. */
  #lines = "";
  readonly #lineNames: ReadonlySet<string>[] = [];

  constructor(source: Fields) {
    this.#source = source;
    if ((source.seen & HOP_MASK) !== 0) this.#cutHops();
  }

  get(name: string): string | undefined {
    const { lower } = toSearched(name);
    if (this.#mayHaveLine(lower)) this.#takeIn();
    let joined: string | undefined;
    for (let at = this.#find(name, 0); at !== -1; at = this.#find(name, at + STRIDE)) joined = join(joined, this.#source.valueAt(at));
    for (let i = 0; i < this.#added.length; i += 3) if (this.#added[i] === lower) joined = join(joined, this.#added[i + 2] ?? "");
    return joined;
  }

  set(name: string, value: string): void {
    this.remove(name);
    this.add(name, value);
  }

  add(name: string, value: string): void {
    checkName(name);
    checkValue(name, value);
    this.#added.push(toSearched(name).lower, name, value);
  }

  remove(name: string): void {
    if (this.#mayHaveLine(toSearched(name).lower)) this.#takeIn();
    for (let at = this.#find(name, 0); at !== -1; at = this.#find(name, at + STRIDE)) this.#cut[at / STRIDE] = GONE;
    const { lower } = toSearched(name);
    if (this.#added.includes(lower)) this.#added = this.#without(lower);
  }

  removeAll(names: ReadonlySet<string>): void {
    for (const name of names) {
      if (!this.#mayHaveLine(name)) continue;
      this.#takeIn();
      break;
    }
    const { marks, text } = this.#source;
    const { maybe, byHash } = hashesOf(names);
    for (let at = 0; at < marks.length; at += STRIDE) {
      const hash = marks[at + AT.hash] ?? 0;
      if (maybe[hash & MAYBE_MASK] === 0) continue;
      const lower = byHash.get(hash);
      if (lower !== undefined && isName(text, marks[at] ?? 0, marks[at + AT.nameEnd] ?? 0, lower)) this.#cut[at / STRIDE] = GONE;
    }
    if (this.#added.length === 0) return;
    const left: string[] = [];
    for (let i = 0; i < this.#added.length; i += 3) if (!names.has(this.#added[i] ?? "")) left.push(...this.#added.slice(i, i + 3));
    this.#added = left;
  }

  append(lines: string, names: ReadonlySet<string>): void {
    this.#lines += lines;
    this.#lineNames.push(names);
  }

  fields(): readonly (readonly [name: string, value: string])[] {
    if (this.#lines !== "") this.#takeIn();
    const pairs: [string, string][] = [];
    for (let at = 0; at < this.#source.marks.length; at += STRIDE) {
      if (this.#cut[at / STRIDE] !== GONE) pairs.push([this.#source.nameAt(at), this.#source.valueAt(at)]);
    }
    for (let i = 0; i < this.#added.length; i += 3) pairs.push([this.#added[i + 1] ?? "", this.#added[i + 2] ?? ""]);
    return pairs;
  }

  text(): string {
    const source = this.#source;
    let text = "";
    let from = -1; // where the lines that stay together begin
    for (let at = 0; at < source.marks.length; at += STRIDE) {
      const stays = this.#cut[at / STRIDE] !== GONE;
      if (stays && from === -1) from = source.mark(at);
      if (stays || from === -1) continue;
      text += source.text.slice(from, source.mark(at));
      from = -1;
    }
    if (from !== -1) text += source.text.slice(from, source.end);
    for (let i = 0; i < this.#added.length; i += 3) text += `${this.#added[i + 1]}: ${this.#added[i + 2]}\r\n`;
    return text + this.#lines;
  }

  /** The appended lines as fields of their own, for whoever asks about them after all. */
  #takeIn(): void {
    for (const line of this.#lines.split("\r\n")) {
      const colon = line.indexOf(":");
      if (colon !== -1) this.#added.push(line.slice(0, colon).toLowerCase(), line.slice(0, colon), line.slice(colon + 2));
    }
    this.#lines = "";
    this.#lineNames.length = 0;
  }

  #mayHaveLine(lower: string): boolean {
    for (const names of this.#lineNames) if (names.has(lower)) return true;
    return false;
  }

  /** What belongs to one connection, and what Connection names (RFC 9110, 7.6.1). */
  #cutHops(): void {
    const { marks } = this.#source;
    for (let at = 0; at < marks.length; at += STRIDE) {
      const kind = marks[at + AT.kind] ?? 0;
      if (kind === 0 || (HOP_MASK & (1 << kind)) === 0) continue;
      this.#cut[at / STRIDE] = GONE;
      if (kind === KIND.connection) this.#cutNamed(this.#source.valueAt(at));
    }
  }

  #cutNamed(connection: string): void {
    if (connection === "close" || connection.toLowerCase() === "keep-alive") return;
    for (const option of connection.split(",")) {
      const name = option.trim();
      // without Host there is no request: nobody may ask for its removal
      if (name !== "" && name.toLowerCase() !== "host") this.remove(name);
    }
  }

  #find(name: string, from: number): number {
    let at = this.#source.find(name, from);
    while (at !== -1 && this.#cut[at / STRIDE] === GONE) at = this.#source.find(name, at + STRIDE);
    return at;
  }

  #without(lower: string): string[] {
    const left: string[] = [];
    for (let i = 0; i < this.#added.length; i += 3) if (this.#added[i] !== lower) left.push(...this.#added.slice(i, i + 3));
    return left;
  }
}

/** The hashes of a set of names. `maybe` has no 0 where the end of one of them points: most names of a head are none of them. */
interface Hashes {
  readonly maybe: Uint8Array;
  readonly byHash: ReadonlyMap<number, string>;
}

const MAYBE_MASK = 255;
const hashed = new WeakMap<ReadonlySet<string>, Hashes>();

/** Two names of one set with the same hash would hide each other, so that is refused. */
function hashesOf(names: ReadonlySet<string>): Hashes {
  const known = hashed.get(names);
  if (known) return known;
  const byHash = new Map([...names].map((name) => [toSearched(name).hash, name]));
  if (byHash.size !== names.size) throw new Error("two of these names have the same hash");
  const maybe = new Uint8Array(MAYBE_MASK + 1);
  for (const hash of byHash.keys()) maybe[hash & MAYBE_MASK] = 1;
  const made = { maybe, byHash };
  hashed.set(names, made);
  return made;
}

function join(before: string | undefined, value: string): string {
  return before === undefined ? value : `${before}, ${value}`;
}

function checkName(name: string): void {
  let valid = name.length > 0;
  for (let i = 0; i < name.length; i++) if (TOKEN[name.charCodeAt(i)] !== 1) valid = false;
  if (!valid) throw new Fault("upstream_invalid", `the header name ${JSON.stringify(name)} has a character that is not allowed`);
}

/** A CR or LF in a value would begin another field or another answer (CWE-113). */
function checkValue(name: string, value: string): void {
  for (let i = 0; i < value.length; i++) {
    if (TEXT[value.charCodeAt(i)] !== 1) throw new Fault("upstream_invalid", `the header ${name} has a character that is not allowed`);
  }
}
