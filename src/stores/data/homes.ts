import { type DataModel, Fault, isUuid, type StoreTenant } from "../../kernel/index.ts";
import type { Engine } from "./engine.ts";
import { type HomeKeeper, setHomeSql, sharedVersion } from "./home-keeper.ts";
import { type HomeMap, homeOf } from "./home-map.ts";
import { readTables } from "./table-list.ts";

/** The homes of tenants: where each of them is, and making one for a tenant that is new. */
export class Homes {
  readonly #engine: Engine;
  readonly #map: HomeMap;
  readonly #keeper: HomeKeeper;

  constructor(engine: Engine, map: HomeMap, keeper: HomeKeeper) {
    this.#engine = engine;
    this.#map = map;
    this.#keeper = keeper;
  }

  /**
   * Gives a tenant without any rows its home. Nothing happens when it has that home already; throws `conflict` when it has rows elsewhere:
   * those are moved. Needs an administrator's URL.
   */
  async place({ uuid }: Pick<StoreTenant, "uuid">, model: DataModel): Promise<void> {
    if (!isUuid(uuid)) throw new RangeError("not a tenant's internal id");
    await this.#map.refresh();
    const home = homeOf(this.#map, uuid);
    if (home.model === model && !home.closing) return;
    this.#keeper.assertPossible(model);
    if (await this.#hasRows(uuid)) {
      const detail = `The tenant has rows in its ${home.model} home already: move it.`;
      throw new Fault("conflict", detail, { public: { detail } });
    }
    await this.#keeper.build(uuid, model);
    await this.#engine.administer(async (client) => {
      const version = await sharedVersion(client);
      await client.query(`begin; ${setHomeSql(uuid, model, this.#keeper.names(uuid))}; ${this.#keeper.noteHomeSql(uuid, version)}; commit`);
    });
    await this.#map.refresh();
  }

  async #hasRows(tenant: string): Promise<boolean> {
    const place = this.#keeper.rowsOf(tenant, homeOf(this.#map, tenant).model);
    return await this.#engine.administer(async (client) => {
      for (const { relation } of await readTables(client, place.tables)) {
        const { rowCount } = await client.query(`select from ${relation} where tenant_id = $1 limit 1`, [tenant]);
        if (rowCount !== 0) return true;
      }
      return false;
    }, place.database);
  }
}
