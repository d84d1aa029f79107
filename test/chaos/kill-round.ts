import { type Running, up } from "../e2e/program.ts";

/** What the clients were told is done, over all rounds. */
export interface Acknowledged {
  readonly users: Set<string>;
  readonly documents: Set<string>;
  /** Per session, how many turns were answered. */
  readonly turns: Map<string, number>;
}

/** A tenant whose clients write while the process is killed. */
export interface WritingTenant {
  readonly id: string;
  readonly token: string;
  readonly acknowledged: Acknowledged;
}

export const WRITERS_PER_TENANT = 3;

/** The first two tenants, made through the management API of a process of their own, with room for many users and requests. */
export async function makeTenants(args: readonly string[], cwd: string): Promise<readonly WritingTenant[]> {
  const running = await up(args, { cwd });
  const tenants: WritingTenant[] = [];
  for (const id of ["a", "b"]) {
    await post(running.url, "/admin/v1/tenants", running.platformToken, { id, name: id, plan: "enterprise", isolationLevel: "shared" });
    const body = { sub: "writer", roles: ["admin"], lifetimeSeconds: 86_400 };
    const made = await post(running.url, `/admin/v1/tenants/${id}/tokens`, running.platformToken, body);
    if (typeof made?.["token"] !== "string") throw new Error(`no token for ${id}`);
    tenants.push({ id, token: made["token"], acknowledged: { users: new Set(), documents: new Set(), turns: new Map() } });
  }
  await running.stop();
  return tenants;
}

/** Lets all writers write until `acknowledgements` have come back, kills the process in the middle of the rest, and waits for its end. */
export async function writeAndKill(
  running: Running,
  tenants: readonly WritingTenant[],
  round: number,
  acknowledgements: number,
): Promise<void> {
  let left = acknowledgements;
  let killed: Promise<unknown> | undefined;
  const acknowledge = (): void => {
    left -= 1;
    if (left === 0) killed = running.stop("SIGKILL");
  };
  const writers = tenants.flatMap((tenant) =>
    Array.from({ length: WRITERS_PER_TENANT }, (_, writer) => writeUntilDown(running.url, tenant, `r${round}-w${writer}`, acknowledge)),
  );
  await Promise.all(writers);
  await killed;
}

/** One client: a user, a document, a turn of chat, over and over with new ids, until nobody answers any more. */
async function writeUntilDown(url: string, { token, acknowledged }: WritingTenant, name: string, acknowledge: () => void): Promise<void> {
  let session: string | undefined;
  for (let n = 0; ; n++) {
    const id = `${name}-${n}`;
    if (!(await post(url, "/users/create", token, { id, name: `User ${id}` }))) return;
    acknowledged.users.add(id);
    acknowledge();
    if (!(await post(url, "/documents", token, { id, text: `Document ${id} of the writer.` }))) return;
    acknowledged.documents.add(id);
    acknowledge();
    const answer = await post(url, "/api/chat", token, { message: `What does ${id} say?`, sessionId: session ?? null });
    if (typeof answer?.["sessionId"] !== "string") return;
    session = answer["sessionId"];
    acknowledged.turns.set(session, (acknowledged.turns.get(session) ?? 0) + 1);
    acknowledge();
  }
}

/** The answer of a call that was acknowledged; undefined when the process went away. Any other answer is a failure of the test. */
async function post(url: string, path: string, token: string, body: object): Promise<Record<string, unknown> | undefined> {
  let status: number;
  let text: string;
  try {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const response = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
    status = response.status;
    text = await response.text();
  } catch {
    return undefined; // the connection broke: nothing was acknowledged
  }
  if (status >= 300) throw new Error(`${path} answered ${status} ${text}`);
  return JSON.parse(text) as Record<string, unknown>; // every call here answers with an object
}
