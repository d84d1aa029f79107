import { Fault, type Json, type Random } from "../kernel/index.ts";
import type { Canary } from "./canary.ts";

/** Calls to the management API of the installation under test, as its operator. */
export interface Operator {
  call(method: "GET" | "POST" | "PATCH" | "DELETE", route: string, body?: Json): Promise<Json>;
}

/** One of the two tenants that are made for the proof. */
export interface Party {
  readonly id: string;
  /** Bearer tokens of an admin and of a member. */
  readonly admin: string;
  readonly member: string;
  readonly key: string;
  readonly keyId: string;
}

/** The ids of the victim's things: some that the attacker has too, some that only the victim has. */
export interface VictimIds {
  readonly user: string;
  readonly document: string;
  readonly session: string;
  readonly key: string;
}

/** Both tenants with their things. */
export interface Parties {
  readonly attacker: Party;
  readonly victim: Party;
  readonly ids: VictimIds;
}

/** Both have a user and a document of this id. */
export const COMMON_ID = "in-both";
/** No limit of rate is meant to refuse an attempt before the boundary does. */
const RATE = { requestsPerSecond: 10_000, burst: 10_000 };
const TOKEN_SECONDS = 3_600;

/** A way to call as one of the parties; gives the JSON of the answer or throws. */
export type CallAs = (party: Party, method: string, route: string, body?: Json) => Promise<Json>;

/** Makes a tenant with an admin, a member and a key. */
export async function makeParty(operator: Operator, random: Random, role: "attacker" | "victim", canary: Canary): Promise<Party> {
  const id = `prove-${role}-${random.bytes(5).toString("hex")}`;
  const word = role === "victim" ? ` ${canary.word}` : "";
  await operator.call("POST", "/admin/v1/tenants", {
    id,
    name: `Isolation proof, ${role}${word}`,
    rate: RATE,
    errorTexts: { not_found: { en: `Nothing here for the ${role}.${word}` } },
  });
  const tokenOf = async (sub: string, given: string): Promise<string> => {
    const answer = await operator.call("POST", `/admin/v1/tenants/${id}/tokens`, { sub, roles: [given], lifetimeSeconds: TOKEN_SECONDS });
    return textOf(answer, "token");
  };
  const key = await operator.call("POST", `/admin/v1/tenants/${id}/keys`, {
    name: `isolation proof${word}`,
    roles: ["admin"],
    scopes: ["chat", "models", "search", "documents", "users", "tenant"],
  });
  return {
    id,
    admin: await tokenOf(COMMON_ID, "admin"),
    member: await tokenOf("member-1", "member"),
    key: textOf(key, "key"),
    keyId: textOf(key, "id"),
  };
}

/** Fills both with things of the same ids, and the victim with some of its own; everything that the victim has carries the canary. */
export async function furnish(callAs: CallAs, attacker: Party, victim: Party, random: Random, canary: Canary): Promise<VictimIds> {
  const only = `only-victim-${random.bytes(5).toString("hex")}`;
  for (const [party, word] of [
    [attacker, "plain"],
    [victim, canary.word],
  ] as const) {
    for (const id of party === victim ? [COMMON_ID, only] : [COMMON_ID]) {
      await callAs(party, "POST", "/users/create", {
        id,
        name: `User ${word}`,
        email: `${id}.${word}@example.com`,
        metadata: { note: word },
      });
      await callAs(party, "POST", "/documents", {
        id,
        title: `Refunds ${word}`,
        text: `A refund takes thirty days. The word is ${word}.`,
        metadata: { note: word },
      });
    }
  }
  const chat = await callAs(victim, "POST", "/api/chat", {
    message: `How long does a refund take? ${canary.word}`,
    metadata: { note: canary.word },
  });
  return { user: only, document: only, session: textOf(chat, "sessionId"), key: victim.keyId };
}

/** The text under this name in an answer of the API. */
function textOf(answer: Json, name: string): string {
  const value = typeof answer === "object" && answer !== null && !Array.isArray(answer) ? answer[name] : undefined;
  if (typeof value === "string") return value;
  throw new Fault("upstream_invalid", `an answer has no ${name}`, { public: { detail: `The installation's answer has no ${name}.` } });
}
