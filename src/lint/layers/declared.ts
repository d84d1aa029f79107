import type { Manifest } from "../manifest.ts";
import type { CheckedRule, Rule } from "../rule.ts";

type Stream = Manifest["events"][number];
type Collection = Manifest["vectors"][number];
type CacheKey = Manifest["cache"][number];

const TENANT = "{tenant}";
const PLACEHOLDER = /\{[a-z][a-z0-9_-]*\}/gi;

/** A rule about single entries of a list that the manifest declares. */
function entryRule<Entry>(
  rule: Rule,
  nameOf: (entry: Entry) => string,
  problemOf: (entry: Entry) => string | undefined,
  fix: string,
): CheckedRule<readonly Entry[]> {
  return {
    ...rule,
    *find(entries) {
      for (const entry of entries) {
        const detail = problemOf(entry);
        if (detail !== undefined) yield { object: nameOf(entry), detail, fix: [fix] };
      }
    },
  };
}

const ofStream = (
  id: Rule["id"],
  name: string,
  means: string,
  problemOf: (stream: Stream) => string | undefined,
  fix: string,
): CheckedRule<readonly Stream[]> =>
  entryRule({ id, name, severity: "error", means }, ({ subject }: Stream) => `subject ${subject}`, problemOf, fix);

/** Rules about subjects, topics and their consumers. */
export const EVENT_RULES: readonly CheckedRule<readonly Stream[]>[] = [
  ofStream(
    "FH301",
    "subject-without-tenant",
    "Events of all tenants are on one subject and nothing in them says whose they are.",
    ({ subject, tenant }) => (!subject.includes(TENANT) && tenant === "none" ? "It has no tenant, and its events have none." : undefined),
    "put {tenant} into the subject, or seal the tenant into each event",
  ),
  ofStream(
    "FH302",
    "subject-tenant-unsealed",
    "A consumer believes the tenant that an event says: whoever may publish may speak for everybody.",
    ({ subject, tenant }) => (!subject.includes(TENANT) && tenant === "field" ? "The tenant is a plain field of its events." : undefined),
    "seal the tenant with the event (a MAC over id, type, tenant and data), or put {tenant} into the subject",
  ),
  ofStream(
    "FH303",
    "subject-ambiguous",
    "Two tenants can have one subject: the parts around the tenant can be cut in another place.",
    ({ subject }) => ambiguity(subject),
    "put the tenant first and a dot behind it: a tenant's id has no dot",
  ),
  ofStream(
    "FH304",
    "subscription-over-tenants",
    "A consumer of one tenant subscribes to all of them.",
    (stream) => stream.subscriptions.filter((each) => coversTenant(stream.subject, each)).map((each) => `${each} takes any tenant.`)[0],
    "subscribe with the tenant's own id in its place",
  ),
  ofStream(
    "FH305",
    "group-over-tenants",
    "The consumer group of a tenant's subject is one for all tenants: they take each other's events.",
    ({ subject, group }) =>
      subject.includes(TENANT) && group !== undefined && !group.includes(TENANT) ? `The group ${group} has no {tenant}.` : undefined,
    "put {tenant} into the name of the group",
  ),
];

/** Whether a pattern of a subscription leaves the tenant's place open. */
function coversTenant(subject: string, pattern: string): boolean {
  const [places, parts] = [subject.split("."), pattern.split(".")];
  const at = places.findIndex((place) => place.includes(TENANT));
  if (at < 0) return false;
  const isOpenBefore = parts.slice(0, at).some((part) => part === ">" || part === "#");
  return isOpenBefore || /[*>#+]/.test(parts[at] ?? "");
}

/** What makes a text of several parts mean two things. A tenant's id is letters, digits and hyphens. */
function ambiguity(pattern: string): string | undefined {
  const parts = [...pattern.matchAll(PLACEHOLDER)];
  const tenant = parts.findIndex(([part]) => part === TENANT);
  const here = parts[tenant];
  if (!here || parts.length < 2) return undefined;
  if (tenant > 0) return `${parts[0]?.[0] ?? ""} stands before the tenant and can hold what looks like one.`;
  const next = parts[1];
  const between = pattern.slice(here.index + TENANT.length, next?.index);
  return /[^a-zA-Z0-9-]/.test(between)
    ? undefined
    : `Nothing that a tenant's id cannot hold stands between ${TENANT} and ${next?.[0] ?? ""}.`;
}

const ofCollection = (
  id: Rule["id"],
  name: string,
  severity: Rule["severity"],
  means: string,
  problemOf: (collection: Collection) => string | undefined,
  fix: string,
): CheckedRule<readonly Collection[]> =>
  entryRule(
    { id, name, severity, means },
    ({ collection }: Collection) => `collection ${collection}`,
    // a collection of one tenant alone needs nothing else
    (collection) => (collection.collection.includes(TENANT) ? undefined : problemOf(collection)),
    fix,
  );

/** Rules about vector collections. */
export const VECTOR_RULES: readonly CheckedRule<readonly Collection[]>[] = [
  ofCollection(
    "FH401",
    "collection-without-tenant",
    "error",
    "Points of all tenants are in one collection and nothing in them says whose they are.",
    ({ tenantField }) => (tenantField === undefined ? "Its points have no tenant." : undefined),
    "name the payload field of the tenant (tenantField), or give each tenant a collection ({tenant} in its name)",
  ),
  ofCollection(
    "FH402",
    "tenant-filter-not-must",
    "error",
    "The tenant's condition is not the outermost must of every query: another condition, or its absence, finds other tenants' points.",
    ({ tenantField, filter }) => (tenantField !== undefined && filter !== "must" ? `filter is ${filter}.` : undefined),
    "add the tenant's condition as the outermost must, by the client that alone may speak to the engine",
  ),
  ofCollection(
    "FH403",
    "point-id-without-tenant",
    "error",
    "A point's id is the caller's own: writing it again replaces another tenant's point.",
    ({ tenantField, pointId }) => (tenantField !== undefined && pointId === "caller" ? "pointId is caller." : undefined),
    "make ids from the tenant and the caller's id together (UUIDv5)",
  ),
  ofCollection(
    "FH404",
    "tenant-field-unindexed",
    "warning",
    "The tenant's field is not indexed as a tenant: one graph spans all tenants, and time and counts tell of the neighbours.",
    ({ tenantField, index }) => (tenantField !== undefined && index !== "tenant" ? `index is ${index}.` : undefined),
    "index the field as a keyword with is_tenant",
  ),
];

const ofKey = (
  id: Rule["id"],
  name: string,
  severity: Rule["severity"],
  means: string,
  problemOf: (key: CacheKey) => string | undefined,
  fix: string,
): CheckedRule<readonly CacheKey[]> => entryRule({ id, name, severity, means }, ({ key }: CacheKey) => `key ${key}`, problemOf, fix);

/** Rules about the keys of caches. */
export const CACHE_RULES: readonly CheckedRule<readonly CacheKey[]>[] = [
  ofKey(
    "FH501",
    "cache-key-without-tenant",
    "error",
    "A cache key has no tenant: two tenants with the same id share the entry.",
    ({ key }) => (key.includes(TENANT) ? undefined : "It has no {tenant}."),
    "begin the key with {tenant}",
  ),
  ofKey(
    "FH502",
    "cache-key-ambiguous",
    "error",
    "A cache key is joined from parts that can be cut in another place: two tenants can have one key.",
    ({ key, parts }) => (parts === "joined" && key.includes(TENANT) ? ambiguity(key) : undefined),
    "hash the parts or put their lengths in front",
  ),
  ofKey(
    "FH503",
    "cache-value-unchecked",
    "note",
    "What a cache gives back is not checked to be the tenant's: a client that mixes up its replies hands over another's.",
    ({ key, checked }) => (key.includes(TENANT) && !checked ? "checked is false." : undefined),
    "store the tenant with the value, and compare it when it is read",
  ),
];
