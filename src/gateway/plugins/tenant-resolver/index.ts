import { Fault, parseTenantId, type TenantId } from "../../../kernel/index.ts";
import { type Identified, unauthenticated } from "../../../tenancy/identity/index.ts";
import type { Call, Plugin, PluginInstance, PluginOwner, PluginPorts, Verdict } from "../../proxy/plugin.ts";
import { refuseTenant } from "../shared/tenant-agreement.ts";
import { compilePathPattern, type PathPattern } from "./path-pattern.ts";
import { tokenClaims } from "./token-claims.ts";

interface Settings {
  /** The field that may name the tenant. */
  readonly header_name?: string;
  /** Where the path may name it. */
  readonly path_pattern?: string;
  readonly required?: boolean;
  /** The token that proved the tenant must name it too, in `jwt_claim_name`. */
  readonly validate_against_jwt?: boolean;
  readonly jwt_claim_name?: string;
  /** False sends the caller's credential on to the upstream. */
  readonly hide_credentials?: boolean;
}

const FIELD = "x-tenant-id";
const FIELD_NAME = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$";

/**
 * Proves the tenant of a call: by the consumer that an auth plugin has found, or else by the platform's own credentials. What field, path and
 * host say may only agree with the proof.
 */
export const tenantResolver: Plugin<Settings> = {
  name: "tenant-resolver",
  priority: 2480,
  schema: {
    type: "object",
    properties: {
      header_name: { type: "string", minLength: 1, maxLength: 128, pattern: FIELD_NAME },
      path_pattern: { type: "string", minLength: 1, maxLength: 1024 },
      required: { type: "boolean", default: true },
      validate_against_jwt: { type: "boolean", default: false },
      jwt_claim_name: { type: "string", minLength: 1, default: "tenant_id" },
      hide_credentials: { type: "boolean" },
    },
    additionalProperties: false,
  },
  check({ path_pattern: source }) {
    const pattern = source === undefined ? undefined : compilePathPattern(source);
    return typeof pattern === "string" ? pattern : undefined;
  },
  hazards: ({ required }) => (required === false ? ["requests that prove no tenant are let through"] : []),
  create: (settings, owner, ports) => new TenantResolver(settings, owner, ports),
};

class TenantResolver implements PluginInstance {
  readonly #settings: Settings;
  readonly #strict: boolean;
  readonly #required: boolean;
  readonly #ports: PluginPorts;
  readonly #fields: readonly string[];
  readonly #path: PathPattern | undefined;

  constructor(settings: Settings, owner: PluginOwner, ports: PluginPorts) {
    this.#settings = settings;
    this.#strict = owner.profile === "strict";
    this.#required = settings.required !== false;
    this.#ports = ports;
    const named = settings.header_name?.toLowerCase();
    this.#fields = named === undefined || named === FIELD ? [FIELD] : [FIELD, named];
    const pattern = settings.path_pattern === undefined ? undefined : compilePathPattern(settings.path_pattern);
    this.#path = typeof pattern === "string" ? undefined : pattern;
  }

  rewrite(call: Call): Verdict | Promise<Verdict> {
    // an auth plugin's own proof replaces the platform's
    if (call.context || call.consumer) return this.#conclude(call);
    const identified = this.#ports.identify(call.head, call.requestId);
    return identified instanceof Promise ? identified.then((settled) => this.#take(call, settled)) : this.#take(call, identified);
  }

  #take(call: Call, identified: Identified): Verdict {
    if (!identified.ok) {
      // in the dialect the field may be meant for the upstream: it proves nothing, and nothing was asked for
      if (this.#required || this.#strict || identified.fault.code !== "unauthenticated") throw identified.fault;
    } else if (identified.realm === "tenant") {
      call.context = identified.context;
    } else if (identified.realm === "platform" && this.#required) {
      throw new Fault("forbidden", "an operator is in no tenant");
    }
    return this.#conclude(call);
  }

  #conclude(call: Call): Verdict {
    const { context } = call;
    if (!context) {
      if (this.#required) throw unauthenticated(call.consumer ? `${call.consumer.username} is bound to no tenant` : "no tenant was proved");
      return undefined;
    }
    const { id } = context.tenant;
    for (const name of this.#fields) this.#agree(call, id, this.#field(call, name), "header");
    this.#agree(call, id, pathTenant(call), "path");
    if (this.#path) this.#agree(call, id, this.#path(segmentsOf(call)), "path");
    // whoever was proved by a consumer's credential was not yet held against the host
    if (call.consumer) this.#agree(call, id, this.#ports.claimedTenant(call.head), "host");
    if (this.#settings.validate_against_jwt === true) this.#validate(call, id);
    return undefined;
  }

  #field(call: Call, name: string): string | undefined {
    return this.#strict ? call.head.headers.one(name) : call.head.headers.all(name)[0];
  }

  #agree(call: Call, proved: TenantId, named: string | undefined, carrier: string): void {
    if (named === undefined || named === proved) return;
    const claimed = parseTenantId(named);
    if (claimed === undefined)
      throw new Fault("invalid_tenant_id", `the ${carrier} names no valid tenant id`, { public: { field: carrier } });
    throw refuseTenant(call, this.#ports, `${carrier}_mismatch`, claimed, `a caller of ${proved} named ${claimed} in the ${carrier}`);
  }

  #validate(call: Call, proved: TenantId): void {
    const claims = tokenClaims(call);
    if (!claims) return;
    const name = this.#settings.jwt_claim_name ?? "tenant_id";
    const named = Object.hasOwn(claims, name) ? claims[name] : undefined;
    if (named !== proved)
      throw refuseTenant(call, this.#ports, "jwt_mismatch", parseTenantId(named), `the token does not name ${proved} in ${name}`);
  }
}

/** What `/tenants/{id}/...` names, which may stand in front of any path of the platform. */
function pathTenant({ head, profile }: Call): string | undefined {
  const { segments } = head.target;
  return profile === "strict" && segments[0] === "tenants" ? segments[1] : undefined;
}

function segmentsOf(call: Call): readonly string[] {
  return call.profile === "strict" ? call.head.target.segments : call.path.split("/").slice(1);
}
