import {
  type Clock,
  createTenantContext,
  Fault,
  type Platform,
  type Random,
  type Tenant,
  type TenantContext,
  type TenantId,
  uuidV7,
} from "../../kernel/index.ts";
import type { Stores } from "../../stores/index.ts";
import type { Audit } from "../../tenancy/audit/index.ts";
import { asServed, type FailureNote, settleFailure, unauthenticated } from "../../tenancy/identity/index.ts";
import { type Limits, overRate, type RateLimiter } from "../../tenancy/limits/index.ts";
import type { Installation, Installations } from "../../tenancy/registry/index.ts";
import type { Acknowledgement, AdmittedReading, Channel, Delivery, OpenInstallation } from "./channel.ts";
import { conversationKey } from "./conversations.ts";
import { putDown } from "./deliveries.ts";

/** What taking deliveries needs. */
export interface ReceivingPorts {
  readonly installations: Pick<Installations, "find" | "secrets" | "remove">;
  readonly findTenant: (id: TenantId) => Tenant | undefined | Promise<Tenant | undefined>;
  readonly stores: Stores;
  readonly limiter: RateLimiter;
  readonly limits: Pick<Limits, "window">;
  /** Counts a delivery that was not proved, by the address of its connection. */
  readonly noteFailure: (remoteAddress: string) => FailureNote;
  readonly audit: Pick<Audit, "record">;
  readonly clock: Clock;
  readonly random: Random;
}

/** Where a delivery came from. */
export interface Source {
  readonly requestId: string;
  readonly remoteAddress: string;
}

/** Messages of one conversation in a minute; what an automaton says to itself ends here. */
const CONVERSATION_RATE = { count: 20, windowMs: 60_000, kind: "sliding", scope: "local" } as const;
const ID = /^[A-Za-z0-9_-]{22}$/;

/** Takes deliveries of one platform. */
export class Receiver {
  readonly #ports: ReceivingPorts;
  readonly #channels: ReadonlyMap<Platform, Channel>;

  constructor(ports: ReceivingPorts, channels: ReadonlyMap<Platform, Channel>) {
    this.#ports = ports;
    this.#channels = channels;
  }

  /**
   * What the platform is told, when everything of the delivery that matters is put down. Throws `unauthenticated` for whatever is not signed
   * for this installation, whether or not there is one; `tenant_suspended`, `tenant_not_ready`, `rate_limited`; and what the stores throw, so that
   * the platform sends it again.
   */
  async receive(platform: Platform, id: string, delivery: Delivery, source: Source): Promise<Acknowledgement> {
    const { installations, clock } = this.#ports;
    const channel = this.#channels.get(platform);
    const installation = ID.test(id) ? await installations.find(id) : undefined;
    if (!channel || installation?.platform !== platform) throw this.#refused(undefined, "unknown_installation", source);
    const open = await this.open(installation);
    const reading = channel.read(delivery, open, clock.now());
    if (reading.kind === "refused") throw this.#refused(installation, reading.reason, source);
    return await this.take(open, reading, source);
  }

  /** The installation with its secrets. */
  async open(installation: Installation): Promise<OpenInstallation> {
    return { ...installation, secrets: await this.#ports.installations.secrets(installation) };
  }

  /** The rest of the way, once a delivery was proved and read. */
  async take(installation: OpenInstallation, reading: AdmittedReading, source: Source): Promise<Acknowledgement> {
    if (reading.kind === "greeting") return reading.acknowledgement;
    const tenant = await this.admit(installation);
    switch (reading.kind) {
      case "dropped":
        if (reading.audit) this.#audit("channel_delivery_dropped", reading.reason, installation, source);
        return reading.acknowledgement;
      case "uninstalled":
        await this.#ports.installations.remove(installation.tenantUuid, installation.id).catch(gone);
        this.#audit("channel_removed", "uninstalled", installation, source);
        return undefined;
      case "message": {
        const { message, acknowledgement } = reading;
        const scope = this.#ports.stores.scope(this.contextFor(tenant, installation, source.requestId));
        const key = conversationKey(installation.id, message.conversation);
        if (!this.#ports.limits.window([tenant.uuid, "channel-conversation", key], CONVERSATION_RATE).allow) {
          this.#audit("channel_delivery_dropped", "conversation_rate", installation, source);
          return acknowledgement;
        }
        await putDown(scope, installation, message);
        return acknowledgement;
      }
    }
  }

  /** The installation's tenant, which is served and has something left of its rate. */
  async admit(installation: Installation): Promise<Tenant> {
    const tenant = await this.#served(installation);
    this.#pay(tenant);
    return tenant;
  }

  /** The tenant as its own channel. */
  contextFor(tenant: Tenant, installation: Pick<Installation, "id">, requestId: string): TenantContext {
    const { random } = this.#ports;
    return createTenantContext({
      tenant,
      principal: { realm: "tenant", kind: "api_key", id: `channel:${installation.id}`, roles: ["member"], scopes: ["chat"] },
      provedBy: "system",
      requestId,
      trace: { traceId: random.bytes(16).toString("hex"), spanId: random.bytes(8).toString("hex"), sampled: false },
    });
  }

  /** A source for what does not come over a connection. */
  ownSource(remoteAddress: "test" | "socket"): Source {
    return { requestId: uuidV7(this.#ports.clock, this.#ports.random), remoteAddress };
  }

  async #served({ tenantId, tenantUuid }: Installation): Promise<Tenant> {
    const served = asServed(await this.#ports.findTenant(tenantId), tenantId);
    if (!served.ok) throw served.fault;
    // the name can have gone to another tenant
    if (served.tenant.uuid !== tenantUuid) throw unauthenticated("the installation's tenant is gone");
    return served.tenant;
  }

  #pay(tenant: Tenant): void {
    const rate = this.#ports.limiter.take(tenant);
    if (!rate.allow) throw overRate(tenant, rate);
  }

  /** The platform does not take the app over the connection that it opens: somebody has to mend that. */
  noteSocketRefused(installation: Installation, reason: string): void {
    this.#audit("channel_socket_refused", reason, installation, this.ownSource("socket"));
  }

  /** The refusal, written down one by one up to the bound of its address, and once for those above it. */
  #refused(installation: Installation | undefined, reason: string, source: Source): Fault {
    const write = (): void => this.#audit("channel_signature_rejected", reason, installation, source);
    return settleFailure(this.#ports.noteFailure(source.remoteAddress), write) ?? unauthenticated(reason);
  }

  /** Nobody was proved to be of the tenant: the entry is the platform's. */
  #audit(action: string, reason: string, installation: Installation | undefined, { requestId, remoteAddress }: Source): void {
    this.#ports.audit.record({
      action,
      reason,
      actor: installation ? `channel:${installation.id}` : null,
      actorTenant: null,
      targetTenant: installation?.tenantId ?? null,
      requestId,
      source: remoteAddress,
      detail: installation ? { platform: installation.platform } : {},
    });
  }
}

function gone(error: unknown): void {
  if (!(error instanceof Fault && error.code === "not_found")) throw error;
}
