import { type DataModel, Fault, isUuid, type StorePlace, type StoreTenant } from "../../kernel/index.ts";
import type { Engine } from "./engine.ts";
import { dataModelOf, type HomeModel } from "./home.ts";
import { type HomeKeeper, setHomeSql, sharedVersion } from "./home-keeper.ts";
import { type HomeMap, homeOf } from "./home-map.ts";
import { Mover } from "./move/mover.ts";
import type { MoveOptions, MoveReport, MoveState } from "./move/move-report.ts";
import type { OutboxCarrier } from "./outbox-carrier.ts";
import { readTables } from "./table-list.ts";

/** The homes of tenants: where each of them is, and making one for a tenant that is new. */
export class Homes {
  readonly #engine: Engine;
  readonly #map: HomeMap;
  readonly #keeper: HomeKeeper;
  readonly #mover: Mover;

  constructor(engine: Engine, map: HomeMap, keeper: HomeKeeper, carrier: OutboxCarrier) {
    this.#engine = engine;
    this.#map = map;
    this.#keeper = keeper;
    this.#mover = new Mover(engine, map, keeper, carrier);
  }

  /** Where the tenant's rows are, as far as this process has heard. */
  modelOf({ uuid }: Pick<StoreTenant, "uuid">): DataModel {
    return dataModelOf(homeOf(this.#map, uuid).model);
  }

  /** Where what the tenant searches is, as far as this process has heard. With a home of its own that is there. */
  searchPlaceOf({ uuid }: Pick<StoreTenant, "uuid">): StorePlace {
    return homeOf(this.#map, uuid).model === "row" ? "shared" : "own";
  }

  /** What the tenant's home is made of. */
  homeModelOf({ uuid }: Pick<StoreTenant, "uuid">): HomeModel {
    return homeOf(this.#map, uuid).model;
  }

  /**
   * Moves a tenant to another data model while it is served. No write is lost and none is refused; when anything fails, the tenant stays
   * where it is. The old home is kept until `confirm`.
   */
  async move(tenant: Pick<StoreTenant, "uuid">, model: DataModel, options?: MoveOptions): Promise<MoveReport> {
    await this.refresh();
    if (this.modelOf(tenant) === model) throw conflict(`The tenant is in a ${model} home already.`);
    return await this.#mover.move(tenant, model, options);
  }

  /**
   * Moves what the tenant searches into a table of its own or back among everybody's, in the same way. Throws `conflict` for a tenant with a
   * schema or database of its own, where it goes with its rows.
   */
  async moveSearch(tenant: Pick<StoreTenant, "uuid">, place: StorePlace, options?: MoveOptions): Promise<MoveReport> {
    await this.refresh();
    const model = this.modelOf(tenant);
    if (model !== "row") throw conflict(`What the tenant searches is in its own ${model} with its rows: move the data.`);
    return await this.#mover.move(tenant, place === "own" ? "row_search" : "row", options);
  }

  /** Deletes the home that the tenant has left, if there is one. */
  async confirm(tenant: Pick<StoreTenant, "uuid">): Promise<void> {
    await this.#mover.confirm(tenant);
  }

  /** Moves that are under way, and those whose old home is still kept. */
  async moves(): Promise<readonly MoveState[]> {
    return await this.#mover.moves();
  }

  /** Takes in what other processes have changed. */
  async refresh(): Promise<void> {
    await this.#map.refresh();
  }

  /** Takes back the moves of processes that were killed before they had switched. */
  async recover(): Promise<void> {
    await this.#mover.recover();
  }

  /**
   * Gives a tenant without any rows its home. Nothing happens when it has that home already; throws `conflict` when it has rows elsewhere:
   * those are moved. Needs an administrator's URL.
   */
  async place({ uuid }: Pick<StoreTenant, "uuid">, model: DataModel): Promise<void> {
    if (!isUuid(uuid)) throw new RangeError("not a tenant's internal id");
    await this.#map.refresh();
    const home = homeOf(this.#map, uuid);
    if (dataModelOf(home.model) === model && !home.closing) return;
    this.#keeper.assertPossible(model);
    if (await this.#hasRows(uuid)) {
      const detail = `The tenant has rows in its ${home.model} home already: move it.`;
      throw conflict(detail);
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

function conflict(detail: string): Fault {
  return new Fault("conflict", detail, { public: { detail } });
}
