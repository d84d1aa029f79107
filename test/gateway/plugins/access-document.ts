import assert from "node:assert/strict";
import type { PlaneReply } from "../../support/data-plane.ts";

/** A document with one route for everything below `/` to this node. `more` are further parts of the document. */
export function documentOf(
  node: string,
  plugins: Readonly<Record<string, unknown>>,
  more: Readonly<Record<string, unknown>> = {},
): unknown {
  return {
    routes: [{ id: "1", uri: "/*", plugins, upstream: { type: "roundrobin", nodes: { [node]: 1 } } }],
    ...more,
  };
}

/** Consumers of the tenants acme and globex, with the same plugin's credentials; `more` stand beside them. */
export function consumersOf(
  plugin: string,
  credentials: { readonly acme: unknown; readonly globex: unknown },
  more: readonly unknown[] = [],
): Readonly<Record<string, unknown>> {
  const consumers = (["acme", "globex"] as const).map((tenant) => ({
    username: `${tenant}-app`,
    plugins: { [plugin]: credentials[tenant], "tenant-context": { tenant_id: tenant } },
  }));
  return { consumers: [...consumers, ...more] };
}

/** Fails unless the answer is the problem of this code. */
export function assertProblem(reply: PlaneReply, status: number, code: string): void {
  assert.equal(reply.status, status, reply.text);
  assert.equal(reply.headers["content-type"], "application/problem+json");
  assert.equal(reply.json()["code"], code);
}

/** The statuses of so many calls, one after the other. */
export async function statusesOf(count: number, call: () => Promise<PlaneReply>): Promise<readonly number[]> {
  const statuses: number[] = [];
  for (let i = 0; i < count; i++) statuses.push((await call()).status);
  return statuses;
}
