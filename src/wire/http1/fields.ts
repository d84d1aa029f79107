import { Fault } from "../../kernel/index.ts";
import type { HeaderEdit, HeaderList } from "../http.ts";
import { COLON, CR, LF, SPACE, TAB, TEXT, TOKEN } from "./characters.ts";
import { AT, hashOf, hashStep, isName, kindOf, STRIDE, toSearched } from "./field-names.ts";
import { FieldEdit } from "./field-edit.ts";

/** Header fields as places in the text of a head. Names and values are cut out of it only when somebody asks for them. */
export class Fields implements HeaderList {
  /** Latin1, from before the first field line to behind the last. */
  readonly text: string;
  /** See {@link STRIDE}. Lines follow each other without a gap. */
  readonly marks: readonly number[];
  /** Where the last field line ends. */
  readonly end: number;
  /** One bit for each kind that came, and for each that came again. */
  readonly seen: number;
  readonly repeated: number;
  /** A name has a character that some readers take for a hyphen. */
  readonly odd: boolean;
  #pairs: (readonly [string, string])[] | undefined;

  constructor(text: string, marks: readonly number[], end: number, seen = 0, repeated = 0, odd = false) {
    this.text = text;
    this.marks = marks;
    this.end = end;
    this.seen = seen;
    this.repeated = repeated;
    this.odd = odd;
  }

  get count(): number {
    return this.marks.length / STRIDE;
  }

  get fields(): readonly (readonly [name: string, value: string])[] {
    if (this.#pairs) return this.#pairs;
    const pairs: (readonly [string, string])[] = [];
    for (let at = 0; at < this.marks.length; at += STRIDE) pairs.push([this.nameAt(at), this.valueAt(at)]);
    this.#pairs = pairs;
    return pairs;
  }

  one(name: string): string | undefined {
    const first = this.find(name, 0);
    if (first === -1) return undefined;
    if (this.find(name, first + STRIDE) !== -1) throw repeatedField(name);
    return this.valueAt(first);
  }

  all(name: string): readonly string[] {
    const values: string[] = [];
    for (let at = this.find(name, 0); at !== -1; at = this.find(name, at + STRIDE)) values.push(this.valueAt(at));
    return values;
  }

  edit(): HeaderEdit {
    return new FieldEdit(this);
  }

  /** The place of the next field of this name, from this place on; -1 when there is none. */
  find(name: string, from: number): number {
    const { lower, hash, kind } = toSearched(name);
    if (kind !== 0 && (this.seen & (1 << kind)) === 0) return -1;
    for (let at = from; at < this.marks.length; at += STRIDE) {
      if (this.marks[at + AT.hash] === hash && isName(this.text, this.mark(at), this.mark(at + AT.nameEnd), lower)) return at;
    }
    return -1;
  }

  /** The value of the first field of this kind; empty when there is none. */
  valueOfKind(kind: number): string {
    if ((this.seen & (1 << kind)) === 0) return "";
    for (let at = 0; at < this.marks.length; at += STRIDE) if (this.marks[at + AT.kind] === kind) return this.valueAt(at);
    return "";
  }

  /** Whether no tab precedes the value of the first field of this kind and no white space follows it: some readers make it part of the value. */
  isPlain(kind: number): boolean {
    if ((this.seen & (1 << kind)) === 0) return true;
    let at = 0;
    while (this.marks[at + AT.kind] !== kind) at += STRIDE;
    const lineEnd = (this.marks[at + STRIDE] ?? this.end) - 2;
    return this.mark(at + AT.valueEnd) === lineEnd && !this.text.slice(this.mark(at + AT.nameEnd), this.mark(at + AT.value)).includes("\t");
  }

  nameAt(at: number): string {
    return this.text.slice(this.mark(at), this.mark(at + AT.nameEnd));
  }

  valueAt(at: number): string {
    return this.text.slice(this.mark(at + AT.value), this.mark(at + AT.valueEnd));
  }

  mark(at: number): number {
    return this.marks[at] as number; // places come from loops over the marks themselves
  }
}

/** No fields at all. */
export const NO_FIELDS = new Fields("", [], 0);

/**
 * The field lines of a head from `from` on, whose empty line ends at `to`. Throws `malformed_request` for more than `fieldsMax`, and for
 * any line that is not name, colon and value ended by CR LF: white space before the colon and folded lines among them (RFC 9112, 5).
 * The loops over character codes are the hot path: each byte of a head is looked at once.
 */
export function scanFields(text: string, from: number, to: number, fieldsMax: number): Fields {
  const end = to - 2;
  let count = 0;
  let [seen, repeated, odd, i, code] = [0, 0, false, from, 0];
  while (i < end) {
    const start = i;
    let hash = 0;
    while (TOKEN[(code = text.charCodeAt(i))] === 1) {
      hash = hashStep(hash, code);
      if (code === 95 || code === 46) odd = true;
      i++;
    }
    if (code !== COLON || i === start) throw malformedFields();
    const nameEnd = i++;
    while ((code = text.charCodeAt(i)) === SPACE || code === TAB) i++;
    const value = i;
    while (TEXT[(code = text.charCodeAt(i))] === 1) i++;
    if (code !== CR || text.charCodeAt(i + 1) !== LF) throw malformedFields();
    let valueEnd = i;
    while (valueEnd > value && ((code = text.charCodeAt(valueEnd - 1)) === SPACE || code === TAB)) valueEnd--;
    i += 2;
    const kind = kindOf(text, start, nameEnd, hash);
    if (kind !== 0) {
      repeated |= seen & (1 << kind);
      seen |= 1 << kind;
    }
    scratch[count] = start;
    scratch[count + AT.nameEnd] = nameEnd;
    scratch[count + AT.value] = value;
    scratch[count + AT.valueEnd] = valueEnd;
    scratch[count + AT.hash] = hash;
    scratch[count + AT.kind] = kind;
    count += STRIDE;
  }
  if (count > fieldsMax * STRIDE) throw malformedFields(`A request may have at most ${fieldsMax} header fields.`);
  return new Fields(text, scratch.slice(0, count), i, seen, repeated, odd);
}

/** Where the marks of the head under the eye are gathered, so that an array of their number is made at once and none has to grow. */
const scratch: number[] = [];

/** Fields of name, value, name, value. They are taken as they are. */
export function createHeaderList(pairs: readonly string[]): HeaderList {
  const marks: number[] = [];
  let [text, seen, repeated, odd] = ["", 0, 0, false];
  for (let i = 0; i + 1 < pairs.length; i += 2) {
    const [name = "", value = ""] = [pairs[i], pairs[i + 1]];
    const nameEnd = text.length + name.length;
    const hash = hashOf(name);
    const kind = kindOf(name, 0, name.length, hash);
    repeated |= seen & (1 << kind);
    seen |= 1 << kind;
    odd ||= /[_.]/.test(name);
    marks.push(text.length, nameEnd, nameEnd + 2, nameEnd + 2 + value.length, hash, kind);
    text += `${name}: ${value}\r\n`;
  }
  return new Fields(text, marks, text.length, seen, repeated, odd);
}

/** The refusal of a field that came twice where only one can be meant. */
export function repeatedField(name: string): Fault {
  const field = name.toLowerCase();
  const detail = `The header field ${field} may be sent only once.`;
  return new Fault("malformed_request", detail, { public: { detail, field } });
}

function malformedFields(detail = "The request is not HTTP/1.1."): Fault {
  return new Fault("malformed_request", detail, { public: { detail } });
}
