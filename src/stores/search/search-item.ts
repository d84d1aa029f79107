import { Fault, type Json } from "../../kernel/index.ts";
import { SEARCH_KINDS, type SearchItem, type SearchKind } from "./port.ts";

/** Bounds of an item, in characters and bytes. */
const ITEM_BOUNDS = { refLengthMax: 512, titleLengthMax: 1_000, payloadBytesMax: 16 * 1024 } as const;

/** Throws `malformed_request` or `body_too_large` unless the item can be stored as it is. */
export function checkItem(item: SearchItem): void {
  checkKey(item.kind, item.ref);
  if (item.title.length > ITEM_BOUNDS.titleLengthMax) throw refused("title", `A title may have ${ITEM_BOUNDS.titleLengthMax} characters.`);
  checkText("title", item.title);
  checkText("text", item.text);
}

/** Throws `malformed_request` unless there can be an item of this kind and ref. */
export function checkKey(kind: SearchKind, ref: string): void {
  if (!SEARCH_KINDS.includes(kind)) throw refused("kind", `The kind is one of ${SEARCH_KINDS.join(", ")}.`);
  if (ref === "" || ref.length > ITEM_BOUNDS.refLengthMax) throw refused("id", `An id has 1 to ${ITEM_BOUNDS.refLengthMax} characters.`);
  checkText("id", ref);
}

/** Throws `malformed_request` when the text has what PostgreSQL cannot store: NUL, or half a surrogate pair. */
export function checkText(field: string, text: string): void {
  if (text.includes("\0") || !text.isWellFormed()) throw refused(field, "The text has a character that cannot be stored.");
}

/** The payload as JSON, with the tenant's own name as `tenantId` whatever it was before. */
export function toPayload(payload: Readonly<Record<string, Json>>, tenantId: string): string {
  const json = JSON.stringify({ ...payload, tenantId }, (name, value: unknown) => {
    checkText("payload", name);
    if (typeof value === "string") checkText("payload", value);
    return value;
  });
  if (Buffer.byteLength(json) > ITEM_BOUNDS.payloadBytesMax) {
    throw new Fault("body_too_large", "payload of a search item", { public: { field: "payload", detail: "The payload may have 16 KiB." } });
  }
  return json;
}

/** The fault of a field that cannot be taken. */
export function refused(field: string, detail: string): Fault {
  return new Fault("malformed_request", `${field}: ${detail}`, { public: { field, detail } });
}
