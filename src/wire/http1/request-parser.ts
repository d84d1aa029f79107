import { METHODS as KNOWN_METHODS } from "node:http";
import { Fault } from "../../kernel/index.ts";
import { parseHost, parseLenientHost } from "../host.ts";
import type { HeaderList, RequestHead, Target } from "../http.ts";
import { fold } from "../headers.ts";
import { parseLenientTarget, parseTarget } from "../target.ts";
import { CHUNKED, type Framing, NO_BODY } from "./body-decoder.ts";
import { CR, LF, SPACE, TOKEN } from "./characters.ts";
import { KIND, maskOf, namesOf } from "./field-names.ts";
import { type Fields, NO_FIELDS, repeatedField, scanFields } from "./fields.ts";

/** What a port takes besides what every port refuses. */
export interface RequestRules {
  readonly fieldsMax: number;
  readonly methods: ReadonlySet<string>;
  readonly targets: "strict" | "lenient";
  /** A mask of the fields that may come only once; those of the framing are always among them. */
  readonly single: number;
}

/** Methods of every port that says nothing else. */
const METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

/** Fields of which two readers would take different values if they came twice: the first, the last, or both joined. */
const SINGLE_FIELDS = ["authorization", "x-tenant-id", "x-api-key", "api-key", "cookie", "content-type", "content-encoding"] as const;
const ALWAYS_SINGLE = maskOf(["host", "content-length", "transfer-encoding", "expect"]);
/** Fields that decide where a request ends or whom it is for: not even a look-alike may come in. */
const FRAMING: ReadonlySet<string> = new Set(["host", "content-length", "transfer-encoding"]);

/** The rules of one port; `single` names fields besides the framing. */
export function toRules(
  fieldsMax: number,
  methods: ReadonlySet<string> = METHODS,
  targets: RequestRules["targets"] = "strict",
  single: readonly string[] = SINGLE_FIELDS,
): RequestRules {
  const allowed = new Set([...methods].filter((method) => method !== "CONNECT"));
  return { fieldsMax, methods: allowed, targets, single: ALWAYS_SINGLE | maskOf(single) };
}

/** The two ends of the connection that a request came on. */
export interface Ends {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly scheme: "http" | "https";
}

/** A checked head and what it says about its body and its connection. */
export class Head implements RequestHead {
  readonly method: string;
  readonly target: Target;
  readonly headers: HeaderList;
  readonly host: string | undefined;
  readonly authority: string | undefined;
  readonly version: RequestHead["version"];
  readonly framing: Framing;
  /** The connection may carry another request after this one. */
  readonly keepAlive: boolean;
  /** The caller holds its body back until it is told to go on. */
  readonly waits: boolean;
  /** It asks for another protocol. */
  readonly upgrade: boolean;
  /** The caller reads fields behind the body of an answer (RFC 9110, 10.1.4). */
  readonly trailers: boolean;
  readonly #ends: Ends;

  constructor(ends: Ends, facts: Omit<Head, keyof Ends>) {
    this.#ends = ends;
    this.method = facts.method;
    this.target = facts.target;
    this.headers = facts.headers;
    this.host = facts.host;
    this.authority = facts.authority;
    this.version = facts.version;
    this.framing = facts.framing;
    this.keepAlive = facts.keepAlive;
    this.waits = facts.waits;
    this.upgrade = facts.upgrade;
    this.trailers = facts.trailers;
  }

  get scheme(): "http" | "https" {
    return this.#ends.scheme;
  }

  get remoteAddress(): string {
    return this.#ends.remoteAddress;
  }

  get remotePort(): number {
    return this.#ends.remotePort;
  }

  get localAddress(): string {
    return this.#ends.localAddress;
  }

  get localPort(): number {
    return this.#ends.localPort;
  }
}

/**
 * The head of a request, from its first byte at `start` to the end of its empty line at `end`. Throws `malformed_request` or
 * `method_not_allowed`; after that nothing more may be read from the connection, since where the request ends is not certain.
 */
export function parseRequestHead(text: string, rules: RequestRules, ends: Ends, start = 0, end: number = text.length): Head {
  const methodEnd = endOfMethod(text, start);
  const targetEnd = endOfTarget(text, methodEnd + 1);
  const version = versionAt(text, targetEnd + 1);
  const method = methodAt(text, start, methodEnd);
  const fields = scanFields(text, targetEnd + 11, end, rules.fieldsMax);
  if (fields.odd) checkSpelling(fields);
  if ((fields.repeated & rules.single) !== 0) throw repeatedField(namesOf(fields.repeated & rules.single)[0] ?? "");
  const framing = framingOf(fields, version);
  if (!rules.methods.has(method)) throw refusedMethod(method, rules.methods);
  const raw = text.slice(methodEnd + 1, targetEnd);
  const authority = authorityOf(fields, version);
  const parse = rules.targets === "strict" ? parseHost : parseLenientHost;
  const connection = (fields.seen & (1 << KIND.connection)) === 0 ? "" : fields.valueOfKind(KIND.connection).toLowerCase();
  return new Head(ends, {
    method,
    target: rules.targets === "strict" ? parseTarget(raw) : parseLenientTarget(raw),
    headers: fields,
    host: authority === undefined ? undefined : parse(authority),
    authority,
    version,
    framing,
    keepAlive: version === "1.1" && (connection === "" || !hasOption(fields, connection, "close")),
    waits: waits(fields, version),
    upgrade: (fields.seen & (1 << KIND.upgrade)) !== 0 && hasOption(fields, connection, "upgrade"),
    trailers: (fields.seen & (1 << KIND.te)) !== 0 && readsTrailers(fields),
  });
}

/** What stands for a request that could not be read, or that nobody has sent. */
export function emptyHead(ends: Ends): Head {
  return new Head(ends, {
    method: "GET",
    target: { raw: "/", path: "/", segments: [], query: "" },
    headers: NO_FIELDS,
    host: undefined,
    authority: undefined,
    version: "1.1",
    framing: NO_BODY,
    keepAlive: false,
    waits: false,
    upgrade: false,
    trailers: false,
  });
}

/** The refusal of a method: with the methods there are when it is one, otherwise as no HTTP (RFC 9110, 15.5.6). */
function refusedMethod(method: string, methods: ReadonlySet<string>): Fault {
  if (!KNOWN_METHODS.includes(method)) return malformed("The request is not HTTP/1.1.");
  return new Fault("method_not_allowed", `method ${method}`, { public: { headers: { allow: [...methods].join(", ") } } });
}

/** The usual ones as constants, whose hash is known. */
function methodAt(text: string, start: number, end: number): string {
  switch (end - start) {
    case 3:
      return text.startsWith("GET", start) ? "GET" : text.startsWith("PUT", start) ? "PUT" : text.slice(start, end);
    case 4:
      return text.startsWith("POST", start) ? "POST" : text.slice(start, end);
    default:
      return text.slice(start, end);
  }
}

function endOfMethod(text: string, start: number): number {
  let i = start;
  while (TOKEN[text.charCodeAt(i)] === 1) i++;
  if (i === start || text.charCodeAt(i) !== SPACE) throw malformed("The request is not HTTP/1.1.");
  return i;
}

function endOfTarget(text: string, start: number): number {
  let i = start;
  let code;
  while ((code = text.charCodeAt(i)) > SPACE && code < 127) i++;
  if (i === start || code !== SPACE) throw malformed("The request is not HTTP/1.1.");
  return i;
}

function versionAt(text: string, start: number): "1.0" | "1.1" {
  const line = text.charCodeAt(start + 8) === CR && text.charCodeAt(start + 9) === LF;
  if (line && text.startsWith("HTTP/1.1", start)) return "1.1";
  if (line && text.startsWith("HTTP/1.0", start)) return "1.0";
  throw malformed("The request is not HTTP/1.1.");
}

function checkSpelling(fields: Fields): void {
  for (const [name] of fields.fields) {
    const folded = fold(name);
    if (FRAMING.has(folded) && folded !== name.toLowerCase()) throw malformed(`The header field ${folded} is misspelled.`);
  }
}

/** Two lengths, or a coding that we and an upstream may read differently, are how one request is smuggled inside another (RFC 9112, 6.1). */
function framingOf(fields: Fields, version: string): Framing {
  const coded = (fields.seen & (1 << KIND["transfer-encoding"])) !== 0;
  const measured = (fields.seen & (1 << KIND["content-length"])) !== 0;
  if (!coded && !measured) return NO_BODY;
  if (!fields.isPlain(KIND["transfer-encoding"]) || !fields.isPlain(KIND["content-length"]))
    throw malformed("The framing has white space around it.");
  const length = measured ? lengthOf(fields.valueOfKind(KIND["content-length"])) : 0;
  if (!coded) return length === 0 ? NO_BODY : { kind: "length", length };
  if (measured) throw malformed("A request may have Content-Length or Transfer-Encoding, not both.");
  const coding = fields.valueOfKind(KIND["transfer-encoding"]).toLowerCase();
  if (coding !== "chunked" || version !== "1.1") throw malformed("The only transfer coding is chunked, in HTTP/1.1.");
  return CHUNKED;
}

const LENGTH_DIGITS_MAX = 15;

/** A length of at most 15 digits, which stays exact as a number. Throws `malformed_request`. */
export function lengthOf(value: string): number {
  let length = 0;
  for (let i = 0; i < value.length; i++) {
    const digit = value.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) throw malformed("Content-Length is not a number.");
    length = length * 10 + digit;
  }
  if (value.length === 0 || value.length > LENGTH_DIGITS_MAX) throw malformed("Content-Length is not a number.");
  return length;
}

function authorityOf(fields: Fields, version: string): string | undefined {
  if ((fields.seen & (1 << KIND.host)) !== 0) return fields.valueOfKind(KIND.host);
  if (version === "1.0") return undefined;
  throw malformed("The Host field is missing.");
}

function waits(fields: Fields, version: string): boolean {
  if ((fields.seen & (1 << KIND.expect)) === 0) return false;
  if (version === "1.1" && fields.valueOfKind(KIND.expect).toLowerCase() === "100-continue") return true;
  throw malformed("The request expects something that is not known here.");
}

/** Whether Connection has this option; the field may come more than once. */
function hasOption(fields: Fields, first: string, option: string): boolean {
  if (first === option) return true;
  const again = (fields.repeated & (1 << KIND.connection)) !== 0;
  const all = again ? fields.all("connection").join(",").toLowerCase() : first;
  return all.includes(option) && all.split(",").some((one) => one.trim() === option);
}

function readsTrailers(fields: Fields): boolean {
  const codings = fields.all("te").join(",").toLowerCase().split(",");
  return codings.some((coding) => coding.trim() === "trailers");
}

function malformed(detail: string): Fault {
  return new Fault("malformed_request", detail, { public: { detail } });
}
