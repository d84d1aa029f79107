import { Fault, type StoreTenant, type StoreUse } from "../../kernel/index.ts";
import { type Queryable, sql, type SystemData } from "../../stores/data/index.ts";

/** Who asked for something, for the audit trail and the certificate. */
export interface RequestedBy {
  readonly actor: string;
  readonly requestId: string;
  /** The network address of the caller. */
  readonly source: string;
}

/** What a run was asked to do. */
export interface RunRequest {
  readonly by: RequestedBy;
  /** The name of the tenant. */
  readonly name: StoreTenant["id"];
  /** Erase: whether an archive is written first. */
  readonly export?: boolean;
  /** Erase: why, in the operator's words. */
  readonly reason?: string;
  /** Erase: waits for nothing that may be under way, as nothing is served. */
  readonly restored?: boolean;
  /** Import: the archive. */
  readonly upload?: string;
}

/** What steps noted for those after them. Times are ISO 8601, UTC. */
export interface RunNotes {
  readonly refusedSince?: string;
  readonly archive?: {
    readonly file: string;
    readonly sha256: string;
    readonly bytes: number;
    /** Per store and kind. */
    readonly records: Readonly<Record<string, Readonly<Record<string, number>>>>;
  };
  /** What each store held. */
  readonly before?: Readonly<Record<string, StoreUse>>;
  /** When the store of this name was erased: one name for each, so that each step notes its own. */
  readonly [erasedAt: `erased ${string}`]: string;
  readonly verifiedTables?: readonly string[];
  /** What each store holds after an import. */
  readonly stored?: Readonly<Record<string, number>>;
  /** Why an archive was refused. */
  readonly refusal?: string;
}

/** One thing that is done to a tenant, step by step. */
export interface Run {
  readonly id: string;
  /** The internal id of the tenant. */
  readonly subject: string;
  readonly kind: "provision" | "import" | "erase";
  readonly state: "running" | "done" | "failed";
  /** The steps that are done, in order. */
  readonly steps: readonly string[];
  readonly request: RunRequest;
  readonly notes: RunNotes;
  /** Why it failed, or what it met the last time and is tried again. */
  readonly problem: string | null;
  /** How often it was taken on. */
  readonly tries: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** A run that this process works on, until its lease ends or somebody else has it. */
export interface HeldRun extends Run {
  readonly lease: string;
}

/** Somebody else has the run, since this process was too slow. Nothing of it may be done here any more. */
export class LeaseLost extends Error {
  override readonly name = "LeaseLost";
}

/** How long a run is held without word from its worker. */
const LEASE_S = 30;
/** A run that was just asked for is taken on by whoever was asked. */
const FRESH_S = 5;

/** Stores a new run. Throws `conflict` when one of this tenant is running. */
export async function insertRun(tx: Queryable, run: Pick<Run, "id" | "subject" | "kind" | "request">): Promise<void> {
  await tx.query(sql`
    insert into freehold.lifecycle_runs (id, subject, kind, request)
    values (${run.id}, ${run.subject}, ${run.kind}, ${JSON.stringify(run.request)}::jsonb)`);
}

/** Stores a new run unless one of its kind is running, and gives the id of the one that is. Throws `in_progress` while another kind is running. */
export async function beginRun(system: SystemData, run: Pick<Run, "id" | "subject" | "kind" | "request">): Promise<string> {
  try {
    await insertRun(system, run);
    return run.id;
  } catch (error) {
    const other = await newestRun(system, run.subject);
    if (!(error instanceof Fault) || error.code !== "conflict" || other?.state !== "running") throw error;
    if (other.kind === run.kind) return other.id; // somebody else was faster
    throw new Fault("in_progress", `${other.kind} of ${run.request.name} is under way`, {
      public: { detail: `The tenant is being set up (${other.kind}). Try again when that is over.`, retryAfterMs: 1_000 },
    });
  }
}

/** Takes the run on, unless it is over or somebody else has it. */
export async function claimRun(system: SystemData, id: string): Promise<HeldRun | undefined> {
  const { rows } = await system.query<HeldRun>(sql`
    update freehold.lifecycle_runs r set lease = gen_random_uuid(), lease_until = now() + ${LEASE_S}::integer * interval '1 second', tries = r.tries + 1,
      updated_at = now()
    where r.id = ${id} and r.state = 'running' and r.lease_until < now()
    returning r.id, r.subject, r.kind, r.state, r.steps, r.request, r.notes, r.problem, r.tries, r.lease, r.created_at as "createdAt",
      r.updated_at as "updatedAt"`);
  return rows[0];
}

/** Ids of runs that nobody works on, the oldest first. */
export async function abandonedRuns(system: SystemData, limit: number): Promise<readonly string[]> {
  const { rows } = await system.query<{ id: string }>(sql`
    select id from freehold.lifecycle_runs
    where state = 'running' and lease_until < now() and updated_at < now() - ${FRESH_S}::integer * interval '1 second' order by id limit ${limit}`);
  return rows.map(({ id }) => id);
}

/** The archives of imports that are not over. */
export async function uploadsInUse(system: SystemData): Promise<ReadonlySet<string>> {
  const { rows } = await system.query<{ upload: string }>(sql`
    select request->>'upload' as upload from freehold.lifecycle_runs where state = 'running' and kind = 'import'`);
  return new Set(rows.map(({ upload }) => upload));
}

/** Keeps the run for longer. */
export async function extendRun(system: SystemData, { id, lease }: HeldRun): Promise<void> {
  await system.query(sql`
    update freehold.lifecycle_runs set lease_until = now() + ${LEASE_S}::integer * interval '1 second' where id = ${id} and lease = ${lease}`);
}

/** Notes that a step is done. Throws {@link LeaseLost} when the run is somebody else's. */
export async function noteStep(system: SystemData, run: HeldRun, step: string, notes: RunNotes): Promise<HeldRun> {
  const { rows } = await system.query<Pick<HeldRun, "steps" | "notes">>(sql`
    update freehold.lifecycle_runs
    set steps = steps || ${step}::text, notes = notes || ${JSON.stringify(notes)}::jsonb, problem = null, updated_at = now(),
      lease_until = now() + ${LEASE_S}::integer * interval '1 second'
    where id = ${run.id} and lease = ${run.lease} and state = 'running' returning steps, notes`);
  const noted = rows[0];
  if (!noted) throw new LeaseLost(`run ${run.id}`);
  return { ...run, ...noted };
}

/** Ends the run. */
export async function endRun(system: SystemData, run: HeldRun, state: "done" | "failed", problem: string | null): Promise<void> {
  const { count } = await system.query(sql`
    update freehold.lifecycle_runs set state = ${state}, problem = ${problem}, lease = null, lease_until = '-infinity', updated_at = now()
    where id = ${run.id} and lease = ${run.lease} and state = 'running'`);
  if (count === 0) throw new LeaseLost(`run ${run.id}`);
}

/** Ends what is running of the tenant and is no erasure, whoever works on it. */
export async function endOthers(system: SystemData, subject: string): Promise<void> {
  await system.query(sql`
    update freehold.lifecycle_runs set state = 'failed', problem = 'The tenant is erased.', lease = null, lease_until = '-infinity', updated_at = now()
    where subject = ${subject} and kind <> 'erase' and state = 'running'`);
}

/** Lets go of the run, so that it is tried again after a time. */
export async function releaseRun(system: SystemData, run: HeldRun, problem: string | null, pauseMs: number): Promise<void> {
  await system.query(sql`
    update freehold.lifecycle_runs
    set problem = ${problem}, lease = null, lease_until = now() + ${pauseMs}::integer * interval '1 millisecond', updated_at = now()
    where id = ${run.id} and lease = ${run.lease}`);
}

/** The run. */
export async function readRun(system: SystemData, id: string): Promise<Run | undefined> {
  const { rows } = await system.query<Run>(sql`
    select r.id, r.subject, r.kind, r.state, r.steps, r.request, r.notes, r.problem, r.tries, r.created_at as "createdAt", r.updated_at as "updatedAt"
    from freehold.lifecycle_runs r where r.id = ${id}`);
  return rows[0];
}

/** The newest run of the tenant. */
export async function newestRun(system: SystemData, subject: string): Promise<Run | undefined> {
  const { rows } = await system.query<Run>(sql`
    select r.id, r.subject, r.kind, r.state, r.steps, r.request, r.notes, r.problem, r.tries, r.created_at as "createdAt", r.updated_at as "updatedAt"
    from freehold.lifecycle_runs r where r.subject = ${subject} order by r.id desc limit 1`);
  return rows[0];
}
