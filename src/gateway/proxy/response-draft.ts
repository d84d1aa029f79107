import { createHeaderList, type Answer, type HeaderEdit, type MapPlan, type ResponseHead, type ResponsePlan } from "../../wire/index.ts";
import type { ResponseDraft } from "./plugin.ts";

type Watcher = (piece: Uint8Array | undefined) => void;
type BodyMap = {
  readonly bytesMax: number;
  readonly map: (body: Uint8Array) => Uint8Array | string;
  readonly over: "pass" | "cut";
};

/** Fields about a body that is not sent any more. */
const BODY_FIELDS = ["content-length", "content-encoding", "etag", "last-modified", "accept-ranges"] as const;

/** An answer's head while plugins work on it, and what becomes of its body. */
export class AnswerDraft implements ResponseDraft {
  status: number;
  readonly headers: HeaderEdit;
  readonly fromUpstream: boolean;
  #source: ResponsePlan | undefined;
  #body: Uint8Array | string | undefined;
  #maps: BodyMap[] | undefined;
  #watchers: Watcher[] | undefined;

  constructor(status: number, headers: HeaderEdit, fromUpstream: boolean) {
    this.status = status;
    this.headers = headers;
    this.fromUpstream = fromUpstream;
  }

  goesBy(plan: ResponsePlan): void {
    this.#source = plan;
  }

  setBody(body: Uint8Array | string): void {
    this.#body = body;
    this.#maps = undefined;
    for (const name of BODY_FIELDS) this.headers.remove(name);
  }

  mapBody(bytesMax: number, map: BodyMap["map"], over: BodyMap["over"] = "pass"): void {
    if (this.#body === undefined) (this.#maps ??= []).push({ bytesMax, map, over });
    else this.#body = map(toBytes(this.#body));
  }

  watchBody(watch: Watcher): void {
    (this.#watchers ??= []).push(watch);
  }

  /** How the upstream's answer goes on. */
  plan(head: ResponseHead): ResponsePlan {
    if (this.#body !== undefined) {
      const body = toBytes(this.#body);
      this.#tell(body);
      return { kind: "replace", answer: { status: this.status, headers: toRecord(this.headers), body } };
    }
    if (head.hasBody && this.#source) return this.#after(this.#source, head.status);
    if (!head.hasBody || (!this.#maps && !this.#watchers)) {
      if (!head.hasBody) this.#tell(undefined);
      return { kind: "pass", status: this.status, headers: this.headers };
    }
    return { kind: "map", status: this.status, headers: this.headers, map: this.#pieces() };
  }

  /** What this plan gives, with what plugins made of it. */
  #after(source: ResponsePlan, status: number): ResponsePlan {
    switch (source.kind) {
      case "map":
        return this.#afterMap(source);
      case "collect":
        return { ...source, whole: async (body) => this.#dressed(await source.whole(body), status) };
      case "remake":
        return { ...source, answer: async (body) => this.#dressed(await source.answer(body), status) };
      case "replace":
        return { ...source, answer: this.#dressed(source.answer, status) };
      case "pass":
      case "retry":
        return source;
      default:
        return source satisfies never;
    }
  }

  #afterMap({ map, broken }: MapPlan): MapPlan {
    const pieces = this.#pieces();
    const ended = (bytes: Uint8Array | undefined): Uint8Array =>
      Buffer.concat([bytes && pieces(bytes), pieces(undefined)].flatMap((piece) => piece ?? []));
    return {
      kind: "map",
      status: this.status,
      headers: this.headers,
      map: (piece) => {
        const made = map(piece);
        if (made && "last" in made) return { last: ended(made.last) };
        return piece === undefined ? ended(made) : made && pieces(made);
      },
      ...(broken && { broken: (reason) => ended(broken(reason)) }),
    };
  }

  /** An answer that was made of the upstream's: of another status it is a refusal, which plugins have not seen. */
  #dressed(answer: Answer, status: number): Answer {
    if (answer.status !== status) this.status = answer.status;
    for (const name of BODY_FIELDS) this.headers.remove(name);
    for (const [name, value] of toEdit(answer.headers).fields()) this.headers.set(name, value);
    return this.apply(answer);
  }

  /** Our own answer with what plugins made of it. */
  apply(answer: Answer): Answer {
    const own = this.#body ?? answer.body;
    const headers = toRecord(this.headers);
    if (own === undefined || typeof own === "string" || own instanceof Uint8Array) {
      let body = own;
      for (const { bytesMax, map, over } of this.#maps ?? []) {
        const bytes = toBytes(body ?? "");
        if (bytes.length <= bytesMax || over === "cut") body = map(bytes.subarray(0, bytesMax));
      }
      this.#tell(body === undefined ? undefined : toBytes(body));
      return { status: this.status, headers, body };
    }
    return { status: this.status, headers, body: this.#maps || this.#watchers ? through(own, this.#pieces()) : own };
  }

  #tell(body: Uint8Array | undefined): void {
    for (const watch of this.#watchers ?? []) {
      if (body && body.length > 0) watch(body);
      watch(undefined);
    }
  }

  /** Piece by piece: held back for the maps as long as it stays under their bound, then shown to the watchers. */
  #pieces(): (piece: Uint8Array | undefined) => Uint8Array | undefined {
    const maps = this.#maps?.map(holdAndMap) ?? [];
    const watchers = this.#watchers ?? [];
    return (piece) => {
      let current = piece;
      for (const map of maps) current = map(current, piece === undefined);
      for (const watch of watchers) {
        if (current && current.length > 0) watch(current);
        if (piece === undefined) watch(undefined);
      }
      return current;
    };
  }
}

/** Keeps pieces until the last and gives the mapped whole; over the bound everything goes on as it is, or what is over it is dropped. */
function holdAndMap({ bytesMax, map, over }: BodyMap): (piece: Uint8Array | undefined, isLast: boolean) => Uint8Array | undefined {
  let held: Uint8Array[] | undefined = [];
  let bytes = 0;
  return (piece, isLast) => {
    if (!held) return over === "cut" ? undefined : piece;
    if (piece) {
      held.push(piece);
      bytes += piece.length;
    }
    if (bytes <= bytesMax && !isLast) return undefined;
    const whole = Buffer.concat(held);
    held = undefined;
    return bytes > bytesMax && over === "pass" ? whole : toBytes(map(whole.subarray(0, bytesMax)));
  };
}

async function* through(
  body: AsyncIterable<Uint8Array | string>,
  map: (piece: Uint8Array | undefined) => Uint8Array | undefined,
): AsyncGenerator<Uint8Array, void> {
  for await (const piece of body) {
    const mapped = map(toBytes(piece));
    if (mapped) yield mapped;
  }
  const rest = map(undefined);
  if (rest) yield rest;
}

function toBytes(body: Uint8Array | string): Uint8Array {
  return typeof body === "string" ? Buffer.from(body, "utf8") : body;
}

/** Lower-case names; a name that comes more than once has a list. */
function toRecord(headers: HeaderEdit): Answer["headers"] {
  // without a prototype: a field may be called `__proto__`
  const record: Record<string, string | string[]> = Object.create(null) as Record<string, string | string[]>;
  for (const [name, value] of headers.fields()) {
    const folded = name.toLowerCase();
    if (folded === "content-length") continue; // the answer's own body says it
    const known = record[folded];
    if (known === undefined) record[folded] = value;
    else if (typeof known === "string") record[folded] = [known, value];
    else known.push(value);
  }
  return record;
}

/** The fields of our own answer, to be worked on. */
export function toEdit(headers: Answer["headers"]): HeaderEdit {
  const raw: string[] = [];
  for (const [name, value] of Object.entries(headers)) {
    for (const each of typeof value === "string" ? [value] : value) raw.push(name, each);
  }
  return createHeaderList(raw).edit();
}
