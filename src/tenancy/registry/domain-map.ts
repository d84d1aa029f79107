import type { TenantId } from "../../kernel/index.ts";
import { sql, type SystemData } from "../../stores/data/index.ts";

/** Hosts read by one statement. */
const PAGE = 10_000;

interface DomainRow {
  readonly host: string;
  readonly id: TenantId;
}

/** Which tenant each verified host belongs to. All of them are in memory, so that a host nobody has costs no read. */
export class DomainMap {
  readonly #system: SystemData;
  #domains = new Map<string, TenantId>();

  constructor(system: SystemData) {
    this.#system = system;
  }

  get(host: string): TenantId | undefined {
    return this.#domains.get(host);
  }

  /** Reads all hosts, a page at a time. */
  async readAll(): Promise<void> {
    const domains = new Map<string, TenantId>();
    let page: readonly DomainRow[];
    let after = "";
    do {
      ({ rows: page } = await this.#system.query<DomainRow>(sql`
        select d.host, t.id from freehold.tenant_domains d join freehold.tenants t on t.uuid = d.tenant_id
        where d.host > ${after} order by d.host limit ${PAGE}`));
      for (const { host, id } of page) domains.set(host, id);
      after = page.at(-1)?.host ?? after;
    } while (page.length === PAGE);
    this.#domains = domains;
  }

  /** Reads these hosts again. */
  async refresh(hosts: readonly string[]): Promise<void> {
    const { rows } = await this.#system.query<DomainRow>(sql`
      select d.host, t.id from freehold.tenant_domains d join freehold.tenants t on t.uuid = d.tenant_id where d.host = any (${hosts})`);
    for (const host of hosts) this.#domains.delete(host);
    for (const { host, id } of rows) this.#domains.set(host, id);
  }
}
