import type { Plugin, Profile } from "../../proxy/plugin.ts";
import { ANONYMOUS_CONSUMER, realmSchema } from "../shared/auth-schema.ts";
import { type AuthSettings, createAuthInstance } from "../shared/authenticate.ts";
import { type CredentialPlaces, hideCredential, peekCredential, readCredential } from "../shared/credential-place.ts";

interface Settings extends AuthSettings {
  readonly header: string;
  /** By default `apikey` in the apisix profile and nowhere in strict: what stands in an address stands in logs as well. */
  readonly query?: string;
  readonly realm: string;
}

/** Proves a consumer by a key in a header field or the query. */
export const keyAuth: Plugin<Settings> = {
  name: "key-auth",
  priority: 2500,
  kind: "auth",
  schema: {
    type: "object",
    properties: {
      header: { type: "string", default: "apikey" },
      query: { type: "string" },
      realm: realmSchema("key"),
      hide_credentials: { type: "boolean" },
      anonymous_consumer: ANONYMOUS_CONSUMER,
    },
  },
  consumer: {
    schema: { type: "object", properties: { key: { type: "string" } }, required: ["key"] },
    unique: "key",
  },
  claims(settings, head, profile) {
    const value = peekCredential(head, placesOf(settings, profile));
    return value === undefined ? [] : [{ plugin: "key-auth", value }];
  },
  create(settings, owner, ports) {
    const places = placesOf(settings, owner.profile);
    return createAuthInstance(
      {
        name: "key-auth",
        challenge: `apikey realm="${settings.realm}"`,
        hide: (call) => hideCredential(call, places),
        check(call) {
          const key = readCredential(call, places, owner.profile);
          if (key === undefined) return { ok: false, message: "Missing API key in request", presented: false };
          const found = ports.findConsumer("key-auth", key);
          return found ? { ok: true, found } : { ok: false, message: "Invalid API key in request", presented: true };
        },
      },
      settings,
      owner,
      ports,
    );
  },
};

function placesOf({ header, query }: Settings, profile: Profile): CredentialPlaces {
  return { header, query: query ?? (profile === "strict" ? undefined : "apikey"), cookie: undefined };
}
