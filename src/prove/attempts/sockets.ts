import type { Attempt } from "../attempt.ts";
import { attackerOf, by, MISMATCH, NOTHING_HERE, REFUSED, tenantSockets, type World } from "../world.ts";
import { AMBIGUOUS, forgedCredentials, type NamedCredential, pairedCredentials, UNPROVED } from "./credentials.ts";
import { questionsAbout, sessionOfNobody } from "./things.ts";

/** The socket whose messages are known here. */
const CHAT = "/api/chat/socket";
const OPENED = [101] as const;

/** WebSockets: opened with what proves another, or under another's name, and once open, messages that name the victim or its things. */
export function socketAttempts(world: World): readonly Attempt[] {
  return [...tenantSockets(world).flatMap(({ path }) => handshakes(world, path)), ...messages(world), ...ofRoutes(world)];
}

type Fields = NamedCredential["fields"];

function attempt(name: string, path: string, fields: Fields, expect: readonly number[] | undefined, said: readonly string[] = []): Attempt {
  const talk = { messages: said, isLast };
  return { layer: "sockets", name, request: { ...by(undefined, "GET", path, { fields }), socket: talk }, ...(expect && { expect }) };
}

function handshakes(world: World, path: string): readonly Attempt[] {
  const { attacker, victim } = world.parties;
  const own = attackerOf(world);
  const named: readonly (readonly [name: string, fields: Fields, expect: readonly number[]])[] = [
    ["X-Tenant-ID of the victim", [own, ["x-tenant-id", victim.id]], MISMATCH],
    [
      "a key of the attacker and X-Tenant-ID of the victim",
      [
        ["x-api-key", attacker.key],
        ["x-tenant-id", victim.id],
      ],
      MISMATCH,
    ],
    [
      "the attacker's cookie and X-Tenant-ID of the victim",
      [
        ["cookie", `freehold_session=${attacker.admin}`],
        ["x-tenant-id", victim.id],
      ],
      MISMATCH,
    ],
    ["X-Tenant-ID of both", [own, ["x-tenant-id", attacker.id], ["x-tenant-id", victim.id]], [400]],
    ["the page of another site", [own, ["origin", `https://${victim.id}.example.com`]], [403]],
  ];
  return [
    attempt(`${path} without a credential`, path, [], UNPROVED),
    ...named.map(([name, fields, expect]) => attempt(`${path} with ${name}`, path, fields, expect)),
    attempt(`/tenants/{victim}${path}`, `/tenants/${victim.id}${path}`, [own], MISMATCH),
    ...forgedCredentials(world).map(({ name, fields }) => attempt(`${path} with ${name}`, path, fields, UNPROVED)),
    ...pairedCredentials(world).map(({ name, fields }) => attempt(`${path} with ${name}`, path, fields, AMBIGUOUS)),
  ];
}

/** What is said in a socket that the attacker has opened as itself. The last message's answer is judged; the word is looked for in all. */
function messages(world: World): readonly Attempt[] {
  if (!tenantSockets(world).some(({ path }) => path === CHAT)) return [];
  const { attacker, victim, ids } = world.parties;
  const say = (name: string, expect: readonly number[] | undefined, ...said: readonly (object | string)[]): Attempt =>
    attempt(
      `${CHAT}, ${name}`,
      CHAT,
      [attackerOf(world)],
      expect,
      said.map((each) => (typeof each === "string" ? each : JSON.stringify(each))),
    );
  const message = "What was said?";
  const inSession = (sessionId: string): Attempt =>
    say("a message in the victim's session, compared with one that nobody has", NOTHING_HERE, { message, sessionId });
  const questions = questionsAbout(world);
  return [
    ...questions.map((question, at) => say(`question ${at + 1} about the victim`, OPENED, { message: question })),
    say("a message with tenantId of the victim", MISMATCH, { message, tenantId: victim.id }),
    say("a message with tenantId twice", [400], `{"message":"x","tenantId":"${attacker.id}","tenantId":"${victim.id}"}`),
    ...["tenant_id", "tenant", "apiKey", "authorization", "headers"].map((field) =>
      say(`a message with the unknown field ${field}`, REFUSED, { message, [field]: field === "apiKey" ? victim.keyId : victim.id }),
    ),
    say("a message of the victim's user", undefined, { message, userId: ids.user }),
    { ...inSession(ids.session), twin: inSession(sessionOfNobody(ids.session)).request },
    say("a message that names the victim, then one that does not", OPENED, { message, tenantId: victim.id }, { message: questions[0] }),
  ];
}

/** Routes of the gateway document, asked for a WebSocket, with the victim named. */
function ofRoutes(world: World): readonly Attempt[] {
  const { victim } = world.parties;
  const own = attackerOf(world);
  return (world.routes ?? []).flatMap((path) => [
    attempt(`${path} with X-Tenant-ID of the victim`, path, [own, ["x-tenant-id", victim.id]], undefined),
    attempt(`/tenants/{victim}${path}`, `/tenants/${victim.id}${path}`, [own], undefined),
  ]);
}

/** An answer of the chat ends with one of these events. */
function isLast(text: string): boolean {
  return /^\{"type":"(?:done|error)"/.test(text);
}
