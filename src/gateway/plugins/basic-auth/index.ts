import { createHash, timingSafeEqual } from "node:crypto";
import type { Call, ConsumerCredential, Plugin, PluginPorts } from "../../proxy/plugin.ts";
import { ANONYMOUS_CONSUMER, realmSchema } from "../shared/auth-schema.ts";
import { type Authentication, type AuthSettings, createAuthInstance } from "../shared/authenticate.ts";

interface Settings extends AuthSettings {
  readonly realm: string;
}

// the scheme's name in any case, then what is encoded (RFC 7617, 2)
const BASIC = /basic\s(.+)/i;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

/** Proves a consumer by user name and password (RFC 7617). */
export const basicAuth: Plugin<Settings> = {
  name: "basic-auth",
  priority: 2520,
  kind: "auth",
  schema: {
    type: "object",
    properties: { hide_credentials: { type: "boolean" }, realm: realmSchema("basic"), anonymous_consumer: ANONYMOUS_CONSUMER },
  },
  consumer: {
    schema: {
      type: "object",
      properties: { username: { type: "string" }, password: { type: "string" } },
      required: ["password", "username"],
    },
    unique: "username",
  },
  claims(_settings, head, profile) {
    const credentials = readCredentials(head.headers.all("authorization")[0] ?? "", profile === "strict");
    return credentials ? [{ plugin: "basic-auth", value: credentials.username }] : [];
  },
  create(settings, owner, ports) {
    const strict = owner.profile === "strict";
    return createAuthInstance(
      {
        name: "basic-auth",
        challenge: `Basic realm="${settings.realm}"`,
        hide: (call) => call.upstream.headers.remove("authorization"),
        check: (call) => check(call, ports, strict),
      },
      settings,
      owner,
      ports,
    );
  },
};

function check({ head }: Call, ports: PluginPorts, strict: boolean): Authentication {
  const field = strict ? head.headers.one("authorization") : head.headers.all("authorization")[0];
  if (field === undefined) return { ok: false, message: "Missing authorization in request", presented: false };
  const credentials = readCredentials(field, strict);
  // of another scheme, it was not meant for this one
  if (!credentials) return { ok: false, message: "Invalid authorization in request", presented: BASIC.test(field) };
  const found = ports.findConsumer("basic-auth", credentials.username);
  // compared also where there is no such user, so that the time of the answer does not tell one from the other
  const matches = timingSafeEqual(digest(credentials.password), found ? passwordDigest(found) : NOBODY);
  return found && matches ? { ok: true, found } : { ok: false, message: "Invalid user authorization", presented: true };
}

/** In the apisix profile white space is dropped and a second colon ends the password, as the dialect has it. */
function readCredentials(field: string, strict: boolean): { readonly username: string; readonly password: string } | undefined {
  const encoded = BASIC.exec(field)?.[1]?.trim();
  if (encoded === undefined || !BASE64.test(encoded)) return undefined;
  const decoded = Buffer.from(encoded, "base64").toString("utf8");
  const colon = decoded.indexOf(":");
  if (colon === -1) return undefined;
  if (strict) return { username: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
  const [username = "", password = ""] = decoded.split(":", 2);
  return { username: username.replaceAll(/\s+/g, ""), password: password.replaceAll(/\s+/g, "") };
}

const digests = new WeakMap<object, Buffer>();
const NOBODY = digest("");

function passwordDigest({ settings }: ConsumerCredential): Buffer {
  const known = digests.get(settings);
  if (known) return known;
  const made = digest(String(settings["password"]));
  digests.set(settings, made);
  return made;
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
