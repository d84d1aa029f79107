import { type Clock, Fault, type TenantContext } from "../../kernel/index.ts";
import { type Queryable, sql, type SystemData } from "../../stores/data/index.ts";
import { matchesModel, type OpenBudget } from "../settings/catalogue.ts";
import { NANO } from "../settings/prices.ts";
import { Account, type AccountKey, LEASE_MS, type LeaseAnswer, type LeaseAsk, type Settlement } from "./account.ts";
import { periodAt } from "./periods.ts";

/** What the budgets of a gateway are kept with. */
export interface BudgetBookPorts {
  readonly system: Pick<SystemData, "query">;
  readonly clock: Clock;
  /** Names this gateway among others. */
  readonly gateway: string;
}

/** A budget that a request counts for, with its account of now. */
export interface DueBudget {
  readonly budget: OpenBudget;
  readonly account: Account;
  /** Of its period, and when it was looked at. */
  readonly endMs: number;
  readonly nowMs: number;
}

/** Accounts that are not used for so long are forgotten, when nothing depends on them. */
const FORGET_MS = 120_000;
/** Accounts at once; more are refused, since each is one somebody's limit. */
const ACCOUNTS_MAX = 200_000;

/** The accounts of one gateway. */
export class BudgetBook {
  readonly #ports: BudgetBookPorts;
  readonly #accounts = new Map<string, Account>();

  constructor(ports: BudgetBookPorts) {
    this.#ports = ports;
  }

  /** The budgets that a request of this caller to a model counts for: those of any of its names; its own budget is the first one's. */
  due(budgets: readonly OpenBudget[], { tenant, principal }: TenantContext, names: readonly [string, ...string[]]): readonly DueBudget[] {
    const nowMs = this.#ports.clock.now();
    return budgets.flatMap((budget): DueBudget[] => {
      if (budget.models && !budget.models.some((pattern) => names.some((name) => matchesModel(pattern, name)))) return [];
      const subject = subjectOf(budget, principal, names[0]);
      if (subject === undefined) return [];
      const { startMs, endMs } = periodAt(budget.per, nowMs);
      const cap = budget.unit === "money" ? Math.floor(budget.limit * NANO) : budget.limit;
      return [
        { budget, endMs, nowMs, account: this.#account({ tenant: tenant.uuid, budget: budget.name, subject, periodMs: startMs }, cap) },
      ];
    });
  }

  /** What accounts have to tell the ledger. Those that nothing depends on are forgotten. */
  collect(isClosing: boolean): readonly Settlement[] {
    const nowMs = this.#ports.clock.monotonic();
    const settlements: Settlement[] = [];
    for (const [text, account] of this.#accounts) {
      const settlement = account.collect(isClosing);
      if (settlement) settlements.push(settlement);
      else if (account.isOver && nowMs - account.usedMs >= FORGET_MS) this.#accounts.delete(text);
    }
    // every gateway in one order, so that none waits for another that waits for it
    return settlements.toSorted((a, b) => (textOf(a.key) < textOf(b.key) ? -1 : 1));
  }

  /** Writes settlements, and gives for each whether the lease was still this gateway's. */
  async write(tx: Queryable, settlements: readonly Settlement[]): Promise<readonly boolean[]> {
    if (settlements.length === 0) return [];
    const of = <T>(read: (settlement: Settlement) => T): readonly T[] => settlements.map(read);
    // one statement for all, in their order, in which it also locks them
    const { rows } = await tx.query<{ known: boolean }>(sql`
      select freehold.model_settle(tenant, budget, subject, period, settled, returned, ${this.#ports.gateway}, ${LEASE_MS}) as known
      from unnest(${of(({ key }) => key.tenant)}::uuid[], ${of(({ key }) => key.budget)}::text[], ${of(({ key }) => key.subject)}::text[],
        ${of(({ key }) => new Date(key.periodMs).toISOString())}::timestamptz[], ${of(({ settled }) => settled)}::bigint[],
        ${of(({ returned }) => returned)}::bigint[]) with ordinality as s (tenant, budget, subject, period, settled, returned, at)
      order by at`);
    return rows.map(({ known }) => known);
  }

  /** They are written. */
  confirm(settlements: readonly Settlement[], known: readonly boolean[], sentMs: number): void {
    for (const [at, { key }] of settlements.entries()) this.#accounts.get(textOf(key))?.confirm(known[at] === true, sentMs);
  }

  #account(key: AccountKey, cap: number): Account {
    const text = textOf(key);
    const known = this.#accounts.get(text);
    if (known) {
      known.cap = cap;
      return known;
    }
    if (this.#accounts.size >= ACCOUNTS_MAX) throw new Fault("overloaded", `${ACCOUNTS_MAX} budgets are in use`);
    const account = new Account(key, cap, { lease: (ask) => this.#lease(ask), nowMs: () => this.#ports.clock.monotonic() });
    this.#accounts.set(text, account);
    return account;
  }

  async #lease({ key, cap, need, want }: LeaseAsk): Promise<LeaseAnswer> {
    const { rows } = await this.#ports.system.query<{ given: string; free: string; known: boolean }>(sql`
      select given::text as given, free::text as free, known from freehold.model_lease(${key.tenant}, ${key.budget}, ${key.subject},
        ${new Date(key.periodMs)}, ${cap}, ${need}, ${want}, ${this.#ports.gateway}, ${LEASE_MS})`);
    const [row] = rows;
    if (!row) throw new Fault("internal", "a budget's ledger gave no answer");
    return { given: Number(row.given), free: Number(row.free), known: row.known };
  }
}

function textOf({ tenant, budget, subject, periodMs }: AccountKey): string {
  return JSON.stringify([tenant, budget, subject, periodMs]);
}

/** Whose use it is, or undefined where the budget is not about this caller. */
function subjectOf({ for: whose }: OpenBudget, { kind, id }: TenantContext["principal"], model: string): string | undefined {
  switch (whose) {
    case "tenant":
      return "";
    case "key":
      return kind === "api_key" ? id : undefined;
    case "user":
      return kind === "user" ? id : undefined;
    case "model":
      return model;
    default:
      return whose satisfies never;
  }
}
