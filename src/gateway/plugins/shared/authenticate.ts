import { Fault } from "../../../kernel/index.ts";
import { asServed, type Served, unauthenticated } from "../../../tenancy/identity/index.ts";
import {
  type Call,
  type ConsumerCredential,
  jsonAnswer,
  type PluginInstance,
  type PluginOwner,
  type PluginPorts,
  type Verdict,
} from "../../proxy/plugin.ts";
import { refuseTenant } from "./tenant-agreement.ts";

/** What became of a credential. */
export type Authentication =
  | { readonly ok: true; readonly found: ConsumerCredential }
  /** `message` is the dialect's text for the caller; `presented` whether there was anything to check. */
  | { readonly ok: false; readonly message: string; readonly presented: boolean };

/** The settings that every way of authentication has. */
export interface AuthSettings {
  /** Whether the upstream sees no credential; by default true in strict. */
  readonly hide_credentials?: boolean;
  /** The consumer of whoever has no valid credential. */
  readonly anonymous_consumer?: string;
}

/** What is particular to one way of authentication. */
export interface Scheme {
  /** The plugin's name. */
  readonly name: string;
  /** The value of WWW-Authenticate. */
  readonly challenge: string;
  check(call: Call): Authentication | Promise<Authentication>;
  /** Takes the credential out of what goes to the upstream. */
  hide(call: Call): void;
}

/** The plugin instance of a scheme: proves the consumer and, where it is bound to one, the tenant. */
export function createAuthInstance(scheme: Scheme, settings: AuthSettings, owner: PluginOwner, ports: PluginPorts): PluginInstance {
  const { hide_credentials: hides = owner.profile === "strict", anonymous_consumer: anonymous } = settings;
  const proceed = (call: Call, result: Authentication): Verdict | Promise<Verdict> => {
    if (hides) scheme.hide(call);
    if (result.ok) return admit(result.found, call, ports);
    // also where an anonymous consumer would be let in: nobody is to guess at leisure behind its back
    const tooMany = result.presented ? ports.authFailed(`${scheme.name}: ${result.message}`, call) : undefined;
    if (tooMany) throw tooMany;
    if (anonymous === undefined) return challenge(scheme, owner, result.message);
    const consumer = ports.consumer(anonymous);
    if (consumer) return admit({ consumer, credentialId: undefined, settings: {} }, call, ports);
    ports.warn(`${scheme.name} on ${owner.id} names an anonymous consumer that there is not`, { consumer: anonymous });
    return challenge(scheme, owner, "Invalid user authorization");
  };
  return {
    rewrite(call) {
      const result = scheme.check(call);
      return result instanceof Promise ? result.then((settled) => proceed(call, settled)) : proceed(call, result);
    },
  };
}

function challenge({ challenge: value }: Scheme, { profile }: PluginOwner, message: string): Verdict {
  const headers = { "www-authenticate": value };
  if (profile === "apisix") return jsonAnswer(401, { message }, headers);
  // absent, faulty and unknown look the same
  throw new Fault("unauthenticated", message, { public: { headers } });
}

/** Attaches the consumer and, where it is bound to a tenant, makes that tenant the proved one. */
function admit(found: ConsumerCredential, call: Call, ports: PluginPorts): Verdict | Promise<Verdict> {
  const { tenantId } = found.consumer;
  if (tenantId === undefined) {
    call.attachConsumer(found);
    return undefined;
  }
  const proved = call.context?.tenant;
  if (proved && proved.id !== tenantId) {
    throw refuseTenant(call, ports, "consumer_mismatch", tenantId, `${proved.id} was proved before the consumer of ${tenantId}`);
  }
  const tenant = ports.findTenant(tenantId);
  if (tenant instanceof Promise) return tenant.then((settled) => bind(asServed(settled, tenantId), found, call, ports));
  return bind(asServed(tenant, tenantId), found, call, ports);
}

function bind(served: Served, found: ConsumerCredential, call: Call, ports: PluginPorts): Verdict {
  const { username, tenantId } = found.consumer;
  if (!served.ok) {
    if (served.reason === undefined) throw served.fault;
    // a tenant on its way out answers like one that never was
    throw (
      ports.authFailed(served.reason, call, tenantId) ?? unauthenticated(`the consumer ${username} is bound to a tenant that is not there`)
    );
  }
  call.context = ports.contextOf(served.tenant, username, call.requestId);
  call.attachConsumer(found);
  return undefined;
}
