import type { GatewayDocument } from "../gateway/index.ts";
import { Fault, parseTenantId, type TenantId, toFault, Turns } from "../kernel/index.ts";
import type { Lifecycle } from "../tenancy/lifecycle/index.ts";
import type { Registry } from "../tenancy/registry/index.ts";

/** The plan of a tenant for which the document names none. */
const USUAL_PLAN = "starter";
const BY_DOCUMENT = { actor: "gateway-document", requestId: "document", source: "document" } as const;
/** Names that are looked for with one statement. */
const BATCH = 1_000;

/** What tenants of documents are registered with. `report` takes what cannot be registered. */
export interface DocumentTenantsPorts {
  readonly registry: Registry;
  readonly lifecycle: Lifecycle;
  readonly report: (fault: Fault) => void;
}

/** The tenants that gateway documents name. */
export class DocumentTenants {
  readonly #ports: DocumentTenantsPorts;
  /** Names that need not be looked for again: what was registered once stays taken. */
  readonly #known = new Set<TenantId>();

  constructor(ports: DocumentTenantsPorts) {
    this.#ports = ports;
  }

  /**
   * Registers the plans and tenants that the document names and the registry does not know: one line makes a tenant. Nothing that is known
   * is changed, and a tenant that the document no longer names stays. Everything else goes on meanwhile, however many there are.
   */
  async register({ tenants }: Pick<GatewayDocument, "tenants">): Promise<void> {
    const turns = new Turns();
    let batch: TenantId[] = [];
    for (const id of tenants.keys()) {
      const tenantId = parseTenantId(id);
      if (tenantId !== undefined && !this.#known.has(tenantId)) batch.push(tenantId);
      if (batch.length === BATCH) batch = await this.#registerUnknown(batch, tenants);
      await turns.give();
    }
    await this.#registerUnknown(batch, tenants);
  }

  async #registerUnknown(ids: readonly TenantId[], tenants: GatewayDocument["tenants"]): Promise<TenantId[]> {
    if (ids.length === 0) return [];
    const unknown = await this.#ports.registry.unknown(ids);
    for (const id of ids) if (!unknown.has(id) || (await this.#create(id, tenants.get(id)?.plan ?? USUAL_PLAN))) this.#known.add(id);
    return [];
  }

  /** Whether there is such a tenant now. */
  async #create(id: TenantId, plan: string): Promise<boolean> {
    const { registry, lifecycle, report } = this.#ports;
    try {
      await registry.ensurePlan(plan);
      await lifecycle.create({ id, name: id, plan }, BY_DOCUMENT);
      return true;
    } catch (error) {
      const fault = toFault(error);
      if (fault.code === "conflict") return true; // another process has just made it
      report(new Fault(fault.code, `tenant ${id} of the gateway document: ${fault.message}`, { cause: error }));
      return false;
    }
  }
}
