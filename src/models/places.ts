import { type Clock, Fault, type Secret, type StoreTenant } from "../kernel/index.ts";
import { awsFields, createHeaderList, type Egress, type Forward, type HeaderEdit, NameResolver, type Origin } from "../wire/index.ts";
import type { ProviderProtocol } from "./protocols/protocol.ts";
import type { ProviderRequest } from "./request.ts";
import type { ModelBook } from "./settings/book.ts";
import type { OpenModel, Target } from "./settings/catalogue.ts";
import { awsCredentials } from "./settings/aws-key.ts";

/** Where a request can be sent: the target with a checked address and its key. */
export interface Place {
  readonly target: Target;
  readonly origin: Origin;
  readonly key: Secret | undefined;
}

/** What places are found with. */
export interface PlacePorts {
  readonly book: Pick<ModelBook, "key">;
  readonly egress: Pick<Egress, "resolve">;
  readonly clock: Clock;
}

/** Idle connections of a tenant to a provider: how many, how long, and for how many requests each. */
export const KEEP_ALIVE: Forward["keepAlive"] = { idleMax: 32, idleMs: 30_000, requestsMax: 10_000 };

/** Finds addresses and keys: a tenant's provider by the guarded look-up, the platform's by the system's. */
export class Places {
  readonly #ports: PlacePorts;
  readonly #names: NameResolver;

  constructor(ports: PlacePorts) {
    this.#ports = ports;
    this.#names = new NameResolver(ports.clock);
  }

  /** Throws `egress_denied`, `upstream_unreachable`, and `invalid_settings` where the provider needs a key and has none. */
  async find(tenant: StoreTenant, target: Target): Promise<Place> {
    const { provider, owner } = target.model;
    const key = provider.auth === "none" ? undefined : await this.#ports.book.key(tenant, owner, provider.name);
    if (!key && provider.auth !== "none") {
      const detail = `The provider ${provider.name} has no key. Set it, or ask the operator to.`;
      throw new Fault("invalid_settings", detail, { public: { detail } });
    }
    const { base } = provider;
    const address = owner === "tenant" ? await this.#ports.egress.resolve(base) : await this.#addressOf(base);
    const isTls = base.protocol === "https:";
    const tls = isTls ? { serverName: base.hostname, verify: true, ca: undefined, cert: undefined, key: undefined } : undefined;
    return { target, key, origin: { host: address, port: base.port === "" ? (isTls ? 443 : 80) : Number(base.port), tls } };
  }

  async #addressOf({ hostname }: URL): Promise<string> {
    const host = hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
    if (!(await this.#names.has(host))) throw new Fault("upstream_unreachable", `${host} has no address`);
    return this.#names.next(host) ?? host;
  }
}

/** Where a request goes at its provider. */
export function targetOf(
  { provider: { base }, upstreamName }: Pick<OpenModel, "provider" | "upstreamName">,
  { protocol, stream }: Pick<ProviderRequest, "protocol" | "stream">,
): string {
  const path = protocol.path(upstreamName, stream);
  const prefix = base.pathname;
  let end = prefix.length;
  while (end > 0 && prefix[end - 1] === "/") end--;
  return `${prefix.slice(0, end)}${path}`;
}

/** What the fields of a request belong to. */
export interface Addressed {
  readonly protocol: Pick<ProviderProtocol, "passed" | "needed">;
  readonly target: string;
  readonly body: Uint8Array;
  readonly nowMs: number;
}

/** Every field that a provider receives, with those of the caller as `fieldOf` gives them. It is a list of what goes out, so that no credential of the caller can get in by being forgotten. */
export function fieldsFor(
  { target: { model }, key }: Place,
  { protocol: { passed, needed }, target, body, nowMs }: Addressed,
  fieldOf: (name: string) => string | undefined,
  requestId: string,
): HeaderEdit {
  const { provider } = model;
  const fields: string[] = [
    "host",
    provider.base.host,
    "content-type",
    "application/json",
    "accept-encoding",
    "identity",
    "user-agent",
    "freehold",
  ];
  for (const name of passed) {
    const value = fieldOf(name);
    if (value !== undefined) fields.push(name, value);
    else if (needed[name] !== undefined) fields.push(name, needed[name]);
  }
  fields.push("x-request-id", requestId);
  for (const [name, value] of Object.entries(provider.headers)) fields.push(name, value);
  if (key && provider.auth === "bearer") fields.push("authorization", `Bearer ${key.reveal()}`);
  else if (key && provider.auth === "aws") {
    const scope = { service: "bedrock", region: provider.region, credentials: awsCredentials(key, provider.name) } as const;
    const request = {
      method: "POST",
      url: `${provider.base.origin}${target}`,
      headers: { "content-type": "application/json" },
      body,
    } as const;
    for (const [name, value] of Object.entries(awsFields(request, scope, nowMs))) if (isOfSignature(name)) fields.push(name, value);
  } else if (key) fields.push(provider.auth, key.reveal());
  return createHeaderList(fields).edit();
}

/** Signed fields are these and some that every request has. */
function isOfSignature(name: string): boolean {
  return name === "authorization" || name.startsWith("x-amz-");
}

/** Fields of a provider's answer that go on to the caller. Its account, limits and cookies are its customer's. */
export const ANSWER_FIELDS = ["content-type", "retry-after", "retry-after-ms", "openai-processing-ms", "openai-version"] as const;

/** The head of a provider's answer as the caller gets it, with what was asked. */
export function answerFields(from: { all(name: string): readonly string[] }, added: Readonly<Record<string, string>>): HeaderEdit {
  const fields: string[] = [];
  for (const name of ANSWER_FIELDS) {
    const [value] = from.all(name);
    if (value !== undefined && added[name] === undefined) fields.push(name, value);
  }
  for (const [name, value] of Object.entries(added)) fields.push(name, value);
  return createHeaderList(fields).edit();
}
