import { setTimeout as pause } from "node:timers/promises";
import { Fault, type StoreTenant, type StoreUse } from "../../kernel/index.ts";
import { sql } from "../../stores/data/index.ts";
import { OWN_ISSUER } from "../identity/index.ts";
import { type ErasedStore, type ErasureClaims, signCertificate } from "./certificate.ts";
import { writeArchiveFile } from "./export-file.ts";
import type { LifecyclePorts } from "./ports.ts";
import type { HeldRun, RunNotes } from "./run-store.ts";
import { inErasureOrder, NOTHING, type Step, tenantOf } from "./steps.ts";

/** How often rows that came late are erased again, before the next try of the whole step. */
const SWEEPS_MAX = 3;

const KEPT = [
  { what: "the tenant's name and internal id", why: "so that neither is ever given to another tenant" },
  { what: "this certificate and the steps of the erasure, with who asked for it", why: "as proof of the erasure" },
  { what: "the platform's own audit trail", why: "what was done by whom is the operator's to answer for" },
] as const;

/**
 * The steps of an erasure. Refused from the first on; the point of no return is `tombstone`, which is noted outside the database before
 * anything is deleted.
 */
export function eraseSteps(ports: LifecyclePorts, { request }: HeldRun): readonly Step[] {
  const { registry, stores, journal, clock } = ports;
  const steps: Step[] = [
    {
      name: "refuse",
      async work({ subject }) {
        // the name can be another tenant's only where the internal id is not there: then there is nothing to refuse
        const found = (await registry.statuses([subject])).get(subject);
        if (found && found.status !== "erased") await registry.setStatus(found.id, "deleting");
        return { refusedSince: new Date(clock.now()).toISOString() };
      },
    },
    { name: "settle", work: (run) => settle(ports, run) },
  ];
  if (request.export === true) steps.push({ name: "export", work: (run) => writeExport(ports, run) });
  steps.push(
    { name: "count", work: (run) => countAll(ports, tenantOf(run)) },
    {
      name: "tombstone",
      async work(run) {
        await journal.erased(tenantOf(run));
        return NOTHING;
      },
    },
    ...inErasureOrder(stores).map((store) => ({
      name: store.name,
      async work(run: HeldRun) {
        await store.erase(tenantOf(run));
        return { [`erased ${store.name}` as const]: new Date(clock.now()).toISOString() };
      },
    })),
    { name: "verify", work: (run) => verifyNothingLeft(ports, tenantOf(run)) },
    { name: "close", work: (run) => close(ports, run) },
    { name: "certify", work: (run) => certify(ports, run) },
  );
  return steps;
}

async function settle({ clock, settleMs }: LifecyclePorts, { notes, request }: HeldRun): Promise<RunNotes> {
  if (request.restored === true) return NOTHING;
  const until = Date.parse(notes.refusedSince ?? "") + settleMs;
  for (let left = until - clock.now(); left > 0; left = until - clock.now()) await pause(Math.min(left, 1_000));
  return NOTHING;
}

async function writeExport(ports: LifecyclePorts, run: HeldRun): Promise<RunNotes> {
  return { archive: await writeArchiveFile(ports, tenantOf(run), `${run.request.name}-${run.id}.tar.gz`) };
}

async function countAll({ stores }: LifecyclePorts, tenant: StoreTenant): Promise<RunNotes> {
  const before: Record<string, StoreUse> = {};
  for (const store of stores) before[store.name] = await store.measure(tenant);
  return { before };
}

/** Looks in every store, and in every table of the catalogue whichever store answers for it. What came late is erased again. */
async function verifyNothingLeft({ data, stores }: LifecyclePorts, tenant: StoreTenant): Promise<RunNotes> {
  for (let sweep = 0; ; sweep++) {
    const tables = await data.rows.count(tenant);
    const left = tables.filter(({ items }) => items !== 0).map(({ place }) => place);
    for (const store of stores) left.push(...(await store.remains(tenant)).map(({ place }) => place));
    if (left.length === 0) return { verifiedTables: tables.map(({ place }) => place) };
    if (sweep === SWEEPS_MAX) throw stillThere([...new Set(left)]);
    for (const store of inErasureOrder(stores)) await store.erase(tenant);
  }
}

function stillThere(places: readonly string[]): Fault {
  const detail = `Something of the tenant is still there, or cannot be looked at: ${places.join(", ")}. Remove it; the erasure goes on by itself.`;
  return new Fault("dependency_unavailable", detail, { public: { detail } });
}

async function close({ registry, audit }: LifecyclePorts, run: HeldRun): Promise<RunNotes> {
  const { by, name, reason } = run.request;
  if (!(await registry.statuses([run.subject])).has(run.subject)) await registry.bury(tenantOf(run));
  else await registry.setStatus(name, "erased");
  audit.record({
    action: "tenant_erased",
    reason: "allowed",
    actor: by.actor,
    actorTenant: null,
    targetTenant: name,
    requestId: by.requestId,
    source: by.source,
    detail: { erasure: run.id, ...(reason !== undefined && { reason }) },
  });
  await audit.flush();
  return NOTHING;
}

async function certify(ports: LifecyclePorts, run: HeldRun): Promise<RunNotes> {
  const { data, signingKey } = ports;
  const certificate = signCertificate(signingKey, claimsOf(ports, run));
  await data.system.query(sql`
    insert into freehold.erasure_certificates (subject, certificate) values (${run.subject}, ${certificate})
    on conflict (subject) do update set certificate = excluded.certificate, issued_at = now()`);
  return NOTHING;
}

function claimsOf({ stores, clock }: LifecyclePorts, { id, subject, request, notes }: HeldRun): ErasureClaims {
  const { archive, before = {}, refusedSince = "", verifiedTables = [] } = notes; // every step before this one has noted its own
  const erased: ErasedStore[] = inErasureOrder(stores).map(({ name }) => ({
    store: name,
    items: before[name]?.items ?? 0,
    bytes: before[name]?.bytes ?? 0,
    remaining: 0,
    erasedAt: notes[`erased ${name}`] ?? "",
  }));
  return {
    iss: OWN_ISSUER,
    iat: Math.floor(clock.now() / 1000),
    jti: id,
    tenant: { id: request.name, internalId: subject },
    requestedBy: request.by.actor,
    reason: request.reason ?? null,
    refusedSince,
    erasedAt: erased.at(-1)?.erasedAt ?? "",
    archive: archive ? { sha256: archive.sha256, bytes: archive.bytes } : null,
    keysDestroyed: stores.some(({ name }) => name === "vault") || null,
    stores: erased,
    verifiedTables,
    kept: KEPT,
  };
}
