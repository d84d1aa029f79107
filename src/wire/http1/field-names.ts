/** Numbers kept for each field: where its line starts, its name ends, its value starts and ends, the name's hash and kind. */
export const STRIDE = 6;
/** What stands where in those numbers. */
export const AT = { line: 0, nameEnd: 1, value: 2, valueEnd: 3, hash: 4, kind: 5 } as const;

/**
 * Fields that the wire itself must recognise. The number is the bit that stands for the field in {@link Fields.seen}; a bit mask of all
 * fields of a head answers "is it there, and only once" without looking again.
 */
export const KIND = {
  host: 1,
  "content-length": 2,
  "transfer-encoding": 3,
  connection: 4,
  expect: 5,
  upgrade: 6,
  "keep-alive": 7,
  "proxy-connection": 8,
  te: 9,
  trailer: 10,
  date: 11,
  authorization: 12,
  "x-tenant-id": 13,
  "x-api-key": 14,
  "api-key": 15,
  cookie: 16,
  "content-type": 17,
  "content-encoding": 18,
} as const;

/** Kinds that belong to one connection or to the framing, and are never sent on. */
export const HOP_MASK: number = maskOf([
  "content-length",
  "transfer-encoding",
  "connection",
  "expect",
  "upgrade",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
]);

/** The mask of these fields; throws for one that the wire does not recognise. */
export function maskOf(names: readonly string[]): number {
  let mask = 0;
  for (const name of names) {
    const kind = kindOfName(name);
    if (kind === 0) throw new Error(`the field ${name} is not known to the wire`);
    mask |= 1 << kind;
  }
  return mask;
}

/** The names in a mask. */
export function namesOf(mask: number): string[] {
  return Object.entries(KIND).flatMap(([name, kind]) => ((mask & (1 << kind)) === 0 ? [] : [name]));
}

function kindOfName(name: string): number {
  for (const [known, kind] of Object.entries(KIND)) if (known === name) return kind;
  return 0;
}

/** One step of the hash of a name: case folds, since `|` 32 maps capital letters to small ones. Names with an equal hash are still compared. */
export function hashStep(hash: number, code: number): number {
  return (Math.imul(hash, 31) + (code | 32)) | 0;
}

/** The hash of a whole name. */
export function hashOf(name: string): number {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = hashStep(hash, name.charCodeAt(i));
  return hash;
}

const TABLE_SIZE = 512;
const kindAt = new Uint8Array(TABLE_SIZE);
const nameAt: string[] = Array.from({ length: TABLE_SIZE }, () => "");
for (const [name, kind] of Object.entries(KIND)) {
  const at = hashOf(name) & (TABLE_SIZE - 1);
  if (kindAt[at] !== 0) throw new Error("two names share a place in the table");
  kindAt[at] = kind;
  nameAt[at] = name;
}

/** The kind of the name that stands here in the text, 0 for most. */
export function kindOf(text: string, start: number, end: number, hash: number): number {
  const at = hash & (TABLE_SIZE - 1);
  const kind = kindAt[at] ?? 0;
  return kind !== 0 && isName(text, start, end, nameAt[at] ?? "") ? kind : 0;
}

/** Whether this name, in lower case, stands here in the text in any case. */
export function isName(text: string, start: number, end: number, lower: string): boolean {
  if (end - start !== lower.length) return false;
  for (let i = 0; i < lower.length; i++) {
    const code = text.charCodeAt(start + i);
    if ((code >= 65 && code <= 90 ? code | 32 : code) !== lower.charCodeAt(i)) return false;
  }
  return true;
}

interface SearchedName {
  readonly lower: string;
  readonly hash: number;
  readonly kind: number;
}

const SEARCHED_MAX = 1_024;
const searched = new Map<string, SearchedName>();

/** A name as it is searched for. Names come from code and configuration, so they repeat; they are remembered up to a bound. */
export function toSearched(name: string): SearchedName {
  const known = searched.get(name);
  if (known) return known;
  const lower = name.toLowerCase();
  const hash = hashOf(lower);
  const made = { lower, hash, kind: kindOf(lower, 0, lower.length, hash) };
  if (searched.size < SEARCHED_MAX) searched.set(name, made);
  return made;
}
