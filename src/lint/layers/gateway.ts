import { findTenantGaps, PLUGINS, splitDocument } from "../../gateway/index.ts";
import type { CheckedRule, Found } from "../rule.ts";
import { type Fields, textOr, toFields } from "./fields.ts";

/** A gateway document as the rules see it: each place where plugins are set, by name. */
export class GatewaySubject {
  readonly document: Fields;
  readonly places: readonly { readonly object: string; readonly value: Fields; readonly plugins: Fields }[];

  constructor(document: Fields) {
    this.document = document;
    this.places = splitDocument(document).flatMap(({ kind, id, value }) => {
      const record = toFields(value);
      const plugins = kind === "plugins" ? undefined : toFields(record["plugins"]);
      return plugins ? [{ object: `${kind} ${id}`, value: record, plugins }] : [];
    });
  }

  /** Each use of a plugin, by the names it has. */
  *uses(...names: readonly string[]): Iterable<{ readonly object: string; readonly settings: Fields }> {
    for (const { object, plugins } of this.places) {
      for (const name of names)
        if (Object.hasOwn(plugins, name)) yield { object: `${object}, plugin ${name}`, settings: toFields(plugins[name]) };
    }
  }
}

/** Variables that say who calls: with one of them in a key, callers of different tenants have different keys. */
const CALLER = /^\$?(?:consumer_name|consumer_group_id|remote_user|http_authorization|tenant_id|http_x_tenant_id)$/;
const TENANT_FIELD = /^x[-_.]tenant[-_.](?:id|context)$/i;
const LIMITS = ["limit-count", "limit-req", "limit-conn"] as const;
const CODE = [
  "serverless-pre-function",
  "serverless-post-function",
  "ext-plugin-pre-req",
  "ext-plugin-post-req",
  "ext-plugin-post-resp",
] as const;
const CREDENTIALS: Readonly<Record<string, string>> = {
  "key-auth": "key",
  "basic-auth": "username",
  "jwt-auth": "key",
  "hmac-auth": "key_id",
};

/** Rules about a gateway document. */
export const GATEWAY_RULES: readonly CheckedRule<GatewaySubject>[] = [
  {
    id: "FH201",
    name: "route-open",
    severity: "error",
    means: "A route lets requests through that prove no tenant.",
    *find(subject) {
      for (const { object, settings } of subject.uses("tenant-resolver"))
        if (settings["required"] === false) yield { object, detail: "required is false.", fix: ["set required to true, or take it out"] };
    },
  },
  {
    id: "FH202",
    name: "consumer-unbound",
    severity: "warning",
    means: "A consumer is bound to no tenant: nothing says whose its calls are.",
    *find(subject) {
      for (const id of findTenantGaps(subject.document, PLUGINS).consumers) {
        const fix = ["give it the plugin tenant-context with the tenant_id it belongs to"];
        yield { object: `consumers ${id}`, detail: "It has no tenant-context, and no line of tenants has its name.", fix };
      }
    },
  },
  {
    id: "FH203",
    name: "cache-key-without-caller",
    severity: "error",
    means:
      "Answers are kept under a key that has no caller in it: where nothing else keeps them apart, the next tenant gets the last one's.",
    *find(subject) {
      for (const { object, settings } of subject.uses("proxy-cache")) {
        const key = Array.isArray(settings["cache_key"]) ? settings["cache_key"].map(String) : [];
        if (settings["consumer_isolation"] !== false || key.some((part) => CALLER.test(part))) continue;
        yield { object, detail: "consumer_isolation is false and cache_key names no caller.", fix: ["take consumer_isolation: false out"] };
      }
    },
  },
  {
    id: "FH204",
    name: "limit-shared",
    severity: "error",
    means: "A limit counts the requests of all tenants together: one of them uses it up for the others.",
    *find(subject) {
      for (const { object, settings } of subject.uses(...LIMITS)) {
        if (settings["per_tenant"] === false) yield { object, detail: "per_tenant is false.", fix: ["take per_tenant: false out"] };
      }
    },
  },
  {
    id: "FH205",
    name: "tenant-field-written",
    severity: "error",
    means: "A route writes the field by which upstreams know the tenant: the upstream serves whoever it names.",
    *find(subject) {
      for (const { object, settings } of subject.uses("proxy-rewrite")) {
        for (const name of writtenFields(settings["headers"]))
          if (TENANT_FIELD.test(name))
            yield { object, detail: `It writes ${name}.`, fix: [`take ${name} out; the gateway writes it from the proof`] };
      }
    },
  },
  {
    id: "FH206",
    name: "credential-forwarded",
    severity: "warning",
    means: "The caller's credential goes on to the upstream, which can then call as that tenant.",
    *find(subject) {
      for (const { object, settings } of subject.uses("tenant-resolver", "key-auth", "basic-auth", "jwt-auth", "hmac-auth"))
        if (settings["hide_credentials"] === false)
          yield { object, detail: "hide_credentials is false.", fix: ["set hide_credentials to true"] };
    },
  },
  {
    id: "FH207",
    name: "code-in-document",
    severity: "error",
    means: "A route carries code: it runs in the process that serves all tenants.",
    *find(subject) {
      for (const { object } of subject.uses(...CODE))
        yield { object, detail: "It runs what the document says.", fix: ["take it out; put the code into the upstream"] };
      for (const { object, value } of subject.places)
        if (typeof value["script"] === "string") yield { object, detail: "It has a script.", fix: ["take script out"] };
    },
  },
  {
    id: "FH208",
    name: "cors-any-with-credentials",
    severity: "error",
    means: "Any web site may call with the visitor's credentials and read the answer.",
    *find(subject) {
      for (const { object, settings } of subject.uses("cors")) {
        const origins = textOr(settings["allow_origins"], "*");
        if (settings["allow_credential"] === true && /^\*{1,2}$/.test(origins))
          yield { object, detail: `allow_origins is ${origins} with allow_credential.`, fix: ["name the origins one by one"] };
      }
    },
  },
  {
    id: "FH209",
    name: "credential-of-two",
    severity: "error",
    means: "Two consumers have the same credential: who it proves depends on the order of the document.",
    find: sharedCredentials,
  },
  {
    id: "FH210",
    name: "route-of-two-tenants",
    severity: "error",
    means: "Two routes of different tenants take the same host and path: one tenant's requests go to the other's upstream.",
    find: claimedTwice,
  },
];

function* sharedCredentials(subject: GatewaySubject): Iterable<Found> {
  for (const [plugin, field] of Object.entries(CREDENTIALS)) {
    const seen = new Map<string, string>();
    for (const { object, plugins } of subject.places) {
      const value = object.startsWith("consumers ") ? toFields(plugins[plugin])[field] : undefined;
      if (typeof value !== "string") continue;
      const first = seen.get(value);
      // the value itself is a secret
      if (first !== undefined) yield { object, detail: `Its ${plugin} is that of ${first}.`, fix: [`give it a ${field} of its own`] };
      else seen.set(value, object);
    }
  }
}

function* claimedTwice(subject: GatewaySubject): Iterable<Found> {
  const seen = new Map<string, { readonly object: string; readonly tenant: string }>();
  for (const { object, value, plugins } of subject.places) {
    const tenant = toFields(plugins["tenant-context"])["tenant_id"];
    if (!object.startsWith("routes ") || typeof tenant !== "string") continue;
    for (const host of listOf(value, "host", "hosts", "*")) {
      for (const uri of listOf(value, "uri", "uris", "/*")) {
        for (const method of listOf(value, "method", "methods", "*")) {
          const place = JSON.stringify([host, uri, method, value["priority"] ?? 0, value["vars"] ?? []]);
          const first = seen.get(place);
          if (first && first.tenant !== tenant) {
            yield {
              object,
              detail: `${host}${uri} is of ${first.tenant} already (${first.object}).`,
              fix: ["give each tenant a host or a path of its own"],
            };
            return;
          }
          seen.set(place, { object, tenant });
        }
      }
    }
  }
}

function listOf(value: Fields, one: string, many: string, otherwise: string): readonly string[] {
  const list = value[many];
  if (Array.isArray(list)) return list.map(String);
  const single = value[one];
  return [typeof single === "string" ? single : otherwise];
}

function writtenFields(headers: unknown): readonly string[] {
  const record = toFields(headers);
  const grouped = ["set", "add"].flatMap((group) => Object.keys(toFields(record[group])));
  const direct = Object.keys(record).filter((name) => !["set", "add", "remove"].includes(name));
  return [...grouped, ...direct];
}
