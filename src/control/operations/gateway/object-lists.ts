import { z } from "zod";
import { json } from "../../../gateway/index.ts";
import { Fault, type Json } from "../../../kernel/index.ts";
import type { GatewayObject } from "../../../tenancy/registry/index.ts";
import type { Answer } from "../../../wire/index.ts";
import { toEntry } from "./gateway-admin.ts";

/** Which objects of a list are asked for. What else stands in the query is not looked at, as clients of the dialect send more. */
export const LIST_QUERY = z.object({
  page: z.string().optional(),
  page_size: z.string().optional(),
  name: z.string().optional(),
  label: z.string().optional(),
  uri: z.string().optional(),
});

const PAGE_SIZE_MIN = 10;
const PAGE_SIZE_MAX = 500;

/**
 * The objects in the order of their making: those whose name or one of whose addresses has this text in it, or that have this label; and of
 * them a page, where page and size are given. `total` counts what was found on all pages.
 */
export function listAnswer(objects: readonly GatewayObject[], query: z.output<typeof LIST_QUERY>): Answer {
  const found = objects.filter(({ value }) => isWanted(value, query));
  return json(200, { total: found.length, list: pageOf(found, query).map(toEntry) });
}

function isWanted(value: Json, { name, label, uri }: z.output<typeof LIST_QUERY>): boolean {
  if (name === undefined && label === undefined && uri === undefined) return true;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const { name: own, labels, uri: one, uris } = value;
  if (name !== undefined && !(typeof own === "string" && own.includes(name))) return false;
  if (label !== undefined && !(typeof labels === "object" && labels !== null && Object.hasOwn(labels, label))) return false;
  const addresses = [one, ...(Array.isArray(uris) ? uris : [])];
  return uri === undefined || addresses.some((each) => typeof each === "string" && each.includes(uri));
}

function pageOf<Item>(items: readonly Item[], { page, page_size: size }: z.output<typeof LIST_QUERY>): readonly Item[] {
  if (page === undefined || size === undefined) return items;
  const length = Number(size);
  if (!(length >= PAGE_SIZE_MIN && length <= PAGE_SIZE_MAX)) {
    const detail = `page_size must be between ${PAGE_SIZE_MIN} and ${PAGE_SIZE_MAX}`;
    throw new Fault("invalid_settings", detail, { public: { detail } });
  }
  const number = Math.max(1, Math.trunc(Number(page)) || 1);
  return items.slice((number - 1) * length, number * length);
}
