import type { TextPlace } from "../meter/text-rewriter.ts";

/** Where ids of what a provider keeps stand. */
export interface KeptIds {
  /** Every place of a request where something that is kept is named, also places where no provider looks yet: what is taken is wide. */
  inRequest(place: TextPlace): boolean;
  /**
   * The places where the provider itself says what it has kept, in a whole answer or in the data of each event, and no other: an id gets the tenant's mark
   * there, and so none may stand there that the caller has put into its request. Undefined where answers name nothing.
   */
  readonly inAnswer: ((place: TextPlace, isStream: boolean) => boolean) | undefined;
  /**
   * Whether an answer to this request can say what was kept. It is not looked at otherwise: an id that is in it all the same stays raw and opens nothing.
   */
  expects(request: { readonly members: ReadonlyMap<string, unknown>; readonly body: Uint8Array }): boolean;
}

/** Members that name something kept wherever they stand, however they are written. */
const KEPT_NAME =
  /^(?:file|container|vector_?store|skill|approval_?request|previous_?message|(?:previous|comparison)_?response|tunnel|knowledge|library|collection|(?:project_|index_)?connection)_?ids?$|^cached_?content$/;
/** Members of which every text may name something: data sources, agents, sessions and blocks of caches of an account. */
const KEPT_TOPS: ReadonlySet<string> = new Set([
  "previous_response_id",
  "conversation",
  "data_sources",
  "datasources",
  "agent",
  "agent_reference",
  "session_params",
  "kv_transfer_params",
]);
/** Members of callers' own making. */
const FREE_TOPS: ReadonlySet<string> = new Set(["metadata", "response_format", "text", "output_config", "output_format", "functions"]);
/** Parts of tools that are. */
const FREE_PARTS: ReadonlySet<string> = new Set(["parameters", "input_schema", "input_examples"]);
/** Members with the address of a picture or a file. */
const ADDRESSES: ReadonlySet<string> = new Set(["image_url", "file_url", "video_url", "audio_url", "document_url"]);
/** Where an address of HTTPS leads into the account whose key comes with it. */
const FILES_HOST = "generativelanguage.googleapis.com";
/** Ids that providers make have digits, so a word is one of their own skills, for everybody. */
const WORD = /^[a-z-]{1,64}$/;

/** How every name ends by which a request may name something kept, in any protocol; or a name may be written otherwise than it reads. */
const SIGN = /(?:ids?|_url|"url|_params|container|agent|agent_reference|conversation|data_?sources|cached_?content)"|\\u/i;

/** Whether a request can name something kept at all. Most do not, and need not be read for it. */
export function mayNameKept(body: Uint8Array): boolean {
  return mentions(body, SIGN);
}

/** Whether a pattern of ASCII is somewhere in these bytes. */
export function mentions(body: Uint8Array, pattern: RegExp): boolean {
  return pattern.test(Buffer.from(body.buffer, body.byteOffset, body.length).toString("latin1"));
}

/** Whether something kept is named there, by what is true of all protocols. */
export function namesKept(place: TextPlace): boolean {
  const { name, top, levels } = place;
  if (KEPT_TOPS.has(top)) return true;
  if (isAddress(place)) return true;
  if (!KEPT_NAME.test(name) || FREE_TOPS.has(top)) return false;
  return top !== "tools" || !levels.some((level) => FREE_PARTS.has(level.name));
}

/** Whether a text at such a place names what is nobody's: an address that everybody reaches, or a part of the provider's own. */
export function isEverybodys(text: string, place: TextPlace): boolean {
  if (isAddress(place)) return isPublicAddress(text);
  return place.name === "skill_id" && WORD.test(text);
}

/** Whether a text stands at one of these places: `a[].b.c` is the member `c` of `b` of the objects in the list `a`. */
export function standsAt(...places: readonly string[]): (place: TextPlace) => boolean {
  const all = places.map((each) =>
    each.split(".").flatMap((name) => (name.endsWith("[]") ? Array<string>(2).fill(name.slice(0, -2)) : [name])),
  );
  return ({ levels }) => all.some((names) => names.length === levels.length && names.every((name, at) => name === levels[at]?.name));
}

function isAddress({ name, top, levels }: TextPlace): boolean {
  if (top !== "messages" && top !== "input") return false;
  return name === "url" ? ADDRESSES.has(levels.at(-2)?.name ?? "") : ADDRESSES.has(name);
}

/** `gs:`, `ms:`, `file:` and their kin are reached with the rights of the account or its servers. */
function isPublicAddress(text: string): boolean {
  if (/^data:/i.test(text)) return true;
  const url = URL.parse(text);
  return (url?.protocol === "https:" || url?.protocol === "http:") && url.hostname.replace(/\.$/, "") !== FILES_HOST;
}
