import { type Clock, Fault, type Json, type Random } from "../kernel/index.ts";
import { createLiteralClient, type LiteralAnswer, type LiteralClient } from "../wire/index.ts";
import type { Attempt, Outcome, ProofLayer } from "./attempt.ts";
import { carrierAttempts, foldingAttempts, pathAttempts } from "./attempts/carriers.ts";
import { credentialAttempts } from "./attempts/credentials.ts";
import { platformAttempts, routeAttempts } from "./attempts/platform.ts";
import { socketAttempts } from "./attempts/sockets.ts";
import { bodyAttempts, chatAttempts, cursorAttempts, idAttempts, searchAttempts } from "./attempts/things.ts";
import { type Canary, createCanary } from "./canary.ts";
import { bytesOf, carryOut } from "./judge.ts";
import { type CallAs, furnish, makeParty, type Operator, type Parties, type Party } from "./parties.ts";
import { type ProofReport, totalsOf } from "./report.ts";
import { attackerOf, bearer, by, readOperations, readRoutes, type World } from "./world.ts";

/** What a proof works with. */
export interface ProofPorts {
  readonly operator: Operator;
  readonly random: Random;
  readonly clock: Clock;
  readonly version: string;
  /** Told what is being done, for people. */
  readonly progress: (text: string) => void;
}

const FLOOD = 40;
const EVENT_TRIES_MAX = 60;
const PAUSE_MS = 250;
const SUSPENSION_TRIES_MAX = 20;
const PROBES = ["/users", "/documents", "/api/sessions", "/tenant/v1/keys"] as const;
const ERASED_BECAUSE = "made for a proof of isolation, which is over";
const REFUSED_AS_SUSPENDED = [401, 403] as const;

/**
 * Attacks the installation at this address with two tenants made for it, and gives the report to be signed. The tenants are emptied and
 * suspended and erased in the end, also when something fails. Throws only where the proof could not be carried out.
 */
export async function proveIsolationOf(url: string, ports: ProofPorts): Promise<ProofReport> {
  const startedAt = new Date(ports.clock.now()).toISOString();
  const canary = createCanary(ports.random);
  const client = createLiteralClient(url);
  const made: Party[] = [];
  const outcomes: Outcome[] = [];
  const notes: string[] = [];
  const cleanup: string[] = [];
  const callAs = callerOf(client);
  try {
    ports.progress("Making two tenants …");
    const attacker = await makeParty(ports.operator, ports.random, "attacker", canary);
    made.push(attacker);
    const victim = await makeParty(ports.operator, ports.random, "victim", canary);
    made.push(victim);
    const ids = await furnish(callAs, attacker, victim, ports.random, canary);
    const world = await look(client, ports.operator, { attacker, victim, ids }, canary);
    if (world.routes?.length === 0) notes.push("The installation has no gateway routes of its own.");
    if (world.routes === undefined) notes.push("The gateway's own routes were not attacked: they are listed on the operator's port only.");
    outcomes.push(...(await attack(world, client, ports)));
  } finally {
    for (const party of made) cleanup.push(await tidyUp(party, callAs, ports.operator, outcomes, client, canary));
    await client.close();
  }
  const [attacker, victim] = made;
  return {
    iss: "freehold",
    product: "Freehold",
    version: ports.version,
    url,
    startedAt,
    endedAt: new Date(ports.clock.now()).toISOString(),
    tenants: { attacker: attacker?.id ?? "", victim: victim?.id ?? "" },
    canary: canary.word,
    attempts: outcomes,
    totals: totalsOf(outcomes),
    cleanup: [...new Set(cleanup)],
    notes,
  };
}

async function attack(world: World, client: LiteralClient, { operator, progress }: ProofPorts): Promise<readonly Outcome[]> {
  const before = await viewOf(world, client);
  const outcomes: Outcome[] = [await eventArrival(world, client)];
  const attempts: readonly Attempt[] = [
    ...credentialAttempts(world),
    ...carrierAttempts(world),
    ...foldingAttempts(world),
    ...pathAttempts(world),
    ...bodyAttempts(world),
    ...idAttempts(world),
    ...searchAttempts(world),
    ...chatAttempts(world),
    ...socketAttempts(world),
    ...cursorAttempts(world),
    ...routeAttempts(world),
    ...platformAttempts(world),
  ];
  progress(`Attacking with ${attempts.length} requests …`);
  for (const attempt of attempts) outcomes.push(await carryOut(attempt, client, world.canary));
  outcomes.push(...(await integrity(world, client, before)));
  outcomes.push(...(await flood(world, client, operator)));
  return outcomes;
}

/** What the victim sees of its own things. */
async function viewOf({ parties: { victim, ids } }: World, client: LiteralClient): Promise<ReadonlyMap<string, LiteralAnswer>> {
  const things = [`/users/${ids.user}`, `/documents/${ids.document}`, `/api/sessions/${ids.session}`, "/tenant/v1"];
  const targets = [...PROBES, ...things];
  const seen = new Map<string, LiteralAnswer>();
  for (const target of targets) seen.set(target, await client.send(by(bearer(victim.admin), "GET", target)));
  return seen;
}

/** After everything, the victim's things are as they were. */
async function integrity(world: World, client: LiteralClient, before: ReadonlyMap<string, LiteralAnswer>): Promise<readonly Outcome[]> {
  const after = await viewOf(world, client);
  const { ids } = world.parties;
  return [...after].map(([target, answer]) => {
    const first = before.get(target);
    const isSame = first?.status === 200 && answer.status === 200 && Buffer.from(first.body).equals(answer.body);
    // without the word in it, the same answer in the attacker's hands would have been taken for nothing
    const isMarked = world.canary.count(answer.body) > 0;
    const shown = [ids.user, ids.session].reduce((text, id) => text.replace(id, "{id}"), target);
    return outcomeOf(
      "integrity",
      `what the victim reads at ${shown} is what it was before, and carries the word`,
      isSame && isMarked,
      answer.status,
      [200],
    );
  });
}

/** A user is found by its own tenant's search once the event has been handled; then the other tenant's search is asked. */
async function eventArrival({ parties, canary }: World, client: LiteralClient): Promise<Outcome> {
  const search = (token: string): Promise<LiteralAnswer> =>
    client.send(by(bearer(token), "POST", "/search", { body: { query: canary.word, limit: 50 } }));
  const name = "a search for the victim's user, as soon as its event was handled";
  for (let tries = 0; tries < EVENT_TRIES_MAX; tries++) {
    const found = Buffer.from((await search(parties.victim.admin)).body).toString("utf8");
    if (found.includes(parties.ids.user)) {
      const answer = await search(parties.attacker.admin);
      const foreignBytes = canary.count(bytesOf(answer));
      const verdict = foreignBytes > 0 ? "leaked" : answer.status === 200 ? "held" : "answered";
      return { layer: "events", name, verdict, status: answer.status, expected: [200], bytes: bytesOf(answer).length, foreignBytes };
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  return outcomeOf("events", `${name} (it never was)`, false, 0, [200]);
}

/** The attacker is held to one request, floods, and the victim is served all the same. */
async function flood(world: World, client: LiteralClient, operator: Operator): Promise<readonly Outcome[]> {
  const { attacker, victim } = world.parties;
  await operator.call("PATCH", `/admin/v1/tenants/${attacker.id}`, { rate: { requestsPerSecond: 0.001, burst: 1 } });
  const flooding = Array.from({ length: FLOOD }, () => client.send(by(attackerOf(world), "GET", "/users")));
  const calm = Array.from({ length: 10 }, () => client.send(by(bearer(victim.admin), "GET", "/users")));
  const [floods, served] = [await Promise.all(flooding), await Promise.all(calm)];
  await operator.call("PATCH", `/admin/v1/tenants/${attacker.id}`, { rate: { requestsPerSecond: 1_000, burst: 1_000 } });
  const foreignBytes = floods.reduce((sum, answer) => sum + world.canary.count(bytesOf(answer)), 0);
  const bytes = floods.reduce((sum, answer) => sum + bytesOf(answer).length, 0);
  const refused = floods.find(({ status }) => status === 429);
  const name = `${FLOOD} requests at once by an attacker who may make one are refused`;
  return [
    { ...outcomeOf("limits", name, refused !== undefined && foreignBytes === 0, refused?.status ?? 200, [429]), bytes, foreignBytes },
    ...served.map(({ status }, at) =>
      outcomeOf("limits", `call ${at + 1} of the victim during the attacker's flood is served`, status === 200, status, [200]),
    ),
  ];
}

function outcomeOf(layer: ProofLayer, name: string, isHeld: boolean, status: number, expected: readonly number[]): Outcome {
  return { layer, name, verdict: isHeld ? "held" : status === 0 ? "unanswered" : "answered", status, expected, bytes: 0, foreignBytes: 0 };
}

async function look(client: LiteralClient, operator: Operator, parties: Parties, canary: Canary): Promise<World> {
  const { status, body } = await client.send(by(undefined, "GET", "/openapi.json"));
  if (status !== 200) {
    const detail = "The installation does not list its calls at /openapi.json, so they cannot be attacked.";
    throw new Fault("upstream_invalid", detail, { public: { detail } });
  }
  const operations = readOperations(JSON.parse(Buffer.from(body).toString("utf8")) as Json); // JSON.parse gives nothing but Json
  const routes = await operator.call("GET", "/apisix/admin/configs").then(readRoutes, () => undefined); // only on the operator's port
  const keys = await client.send(by(undefined, "GET", "/.well-known/freehold/jwks.json"));
  return { parties, canary, operations, routes, publicKeys: Buffer.from(keys.body).toString("utf8") };
}

/** Empties a tenant and suspends it; then its credentials open nothing any more, which is tried too. At last it is erased. */
async function tidyUp(
  party: Party,
  callAs: CallAs,
  operator: Operator,
  outcomes: Outcome[],
  client: LiteralClient,
  canary: Canary,
): Promise<string> {
  const remove = (list: string, name: string, id = "id"): Promise<void> => emptyList(callAs, party, list, name, id);
  const parts = [
    await attempted(() => remove("/users", "users")),
    await attempted(() => remove("/documents", "documents")),
    await attempted(() => remove("/api/sessions", "sessions", "sessionId")),
    await attempted(() => operator.call("DELETE", `/admin/v1/tenants/${party.id}/keys/${party.keyId}`)),
    await attempted(() => operator.call("POST", `/admin/v1/tenants/${party.id}/suspend`)),
  ];
  await untilRefused(client, party);
  for (const [name, credential] of [
    ["token", bearer(party.admin)],
    ["key", ["x-api-key", party.key]],
  ] as const) {
    for (const target of PROBES) {
      const request = by(credential, "GET", target);
      const title = `GET ${target} with the ${name} of a suspended tenant (${party.id.split("-")[1] ?? ""})`;
      if (outcomes.length > 0)
        outcomes.push(await carryOut({ layer: "lifecycle", name: title, request, expect: REFUSED_AS_SUSPENDED }, client, canary));
    }
  }
  parts.push(
    await attempted(() => operator.call("POST", `/admin/v1/tenants/${party.id}/erase`, { export: false, reason: ERASED_BECAUSE })),
  );
  return parts.every(Boolean)
    ? "both tenants were emptied, suspended and given up for erasure, which goes on by itself and ends with a certificate (freehold tenant certificate <id>)"
    : `${party.id} could not be emptied, suspended or erased: do it by hand (freehold tenant erase ${party.id})`;
}

/** Every process has to know of a suspension within five seconds; what is still open then is seen by the attempts. */
async function untilRefused(client: LiteralClient, { admin }: Party): Promise<void> {
  for (let tries = 0; tries < SUSPENSION_TRIES_MAX; tries++) {
    const { status } = await client.send(by(bearer(admin), "GET", "/users"));
    if (status !== 200) return;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

async function emptyList(callAs: CallAs, party: Party, list: string, name: string, id: string): Promise<void> {
  const answer = await callAs(party, "GET", list);
  const rows = (answer as unknown as { readonly [name: string]: readonly { readonly [name: string]: string }[] })[name] ?? []; // the call's own shape
  for (const row of rows) await callAs(party, "DELETE", `${list}/${encodeURIComponent(row[id] ?? "")}`);
}

async function attempted(work: () => Promise<unknown>): Promise<boolean> {
  return await work().then(
    () => true,
    () => false, // what stays is said in the report
  );
}

/** Calls as a party's admin; a refusal is a fault, since it is about the party's own things. */
function callerOf(client: LiteralClient): CallAs {
  return async (party, method, route, body) => {
    const answer = await client.send(by(bearer(party.admin), method, route, body === undefined ? {} : { body }));
    const text = Buffer.from(answer.body).toString("utf8");
    if (answer.status >= 300) {
      const detail = `${method} ${route} as ${party.id} was answered ${answer.status}: the two tenants of the proof could not be made.`;
      throw new Fault("upstream_invalid", `${detail} ${text}`, { public: { detail } });
    }
    return text === "" ? null : (JSON.parse(text) as Json); // JSON.parse gives nothing but Json
  };
}
