import assert from "node:assert/strict";

/** A line of the ledger. */
export interface Line {
  readonly request: string;
  readonly status: number;
  readonly outcome: string;
  readonly source: string;
  readonly input: number;
  readonly output: number;
  readonly cost: number;
}

/** One request. */
export interface Sent {
  readonly at: number;
  /** Of the gateway; 2 is the one that is killed. */
  readonly gateway: number;
  readonly leaves: boolean;
  readonly body: { readonly model: string | undefined; readonly stream: boolean; readonly messages: readonly object[] };
}

/** When a request was sent and when its answer was read, counted in these events of all requests. */
export interface Told {
  began?: number;
  done?: number;
}

const REQUESTS = 240;

/** Random requests, each with its number in it. */
export function requestsOf(random: (below: number) => number): readonly Sent[] {
  const models = ["small", "say-3", "say-40", "spare", "failing", "shared", "broken", "usage-0", "usage-2"];
  return Array.from({ length: REQUESTS }, (_, at) => ({
    at,
    gateway: random(3),
    leaves: random(8) === 0,
    body: {
      model: models[random(models.length)],
      stream: random(2) === 0,
      messages: [{ role: "user", content: `<${at}> ${"word ".repeat(random(60))}` }],
    },
  }));
}

/** What came of all requests. */
export interface SentAll {
  readonly told: ReadonlyMap<number, Told>;
  readonly statuses: readonly number[];
  /** Requests with a line just before the kill, and those that were sent to the gateway by then. */
  readonly killed: { readonly written: ReadonlySet<string>; readonly began: ReadonlySet<number> };
}

/** Every line says what the provider has billed. Gives what was billed and has no line. */
export function assertLinesAgree(
  lines: readonly Line[],
  billed: ReadonlyMap<string, { readonly input: number; readonly output: number }>,
): readonly string[] {
  const last = new Map(lines.filter(({ outcome }) => outcome !== "failed" && outcome !== "refused").map((line) => [line.request, line]));
  const lost: string[] = [];
  for (const [request, { input, output }] of billed) {
    const line = last.get(request);
    // what was ended here, or left, is the one thing that the provider has counted further
    if (!line) lost.push(request);
    else if (line.outcome === "cut" || line.outcome === "aborted") assert.ok(line.source === "counted" && line.output <= output * 3);
    else assert.deepEqual([line.source, line.input, line.output], ["reported", input, output]);
    last.delete(request);
  }
  // what the provider has not billed it has not said, or nobody believes it
  for (const { source, outcome } of last.values()) assert.equal(source, "counted", outcome);
  return lost;
}

/** What has no line was sent to the killed gateway before it was killed, had none yet, and nothing that was sent to it after its answer has one. */
export function assertIsTail(
  lost: readonly string[],
  lines: readonly Line[],
  numbers: ReadonlyMap<string, number>,
  { told, killed: ofKilled }: SentAll,
): void {
  const written = lines.flatMap(({ request }) => {
    const at = numbers.get(request);
    return at !== undefined && ofKilled.began.has(at) ? [told.get(at)?.began ?? 0] : [];
  });
  for (const request of lost) {
    const at = numbers.get(request) ?? -1;
    assert.ok(ofKilled.began.has(at), `request ${at} has no line and was not sent to the gateway that was killed`);
    assert.ok(!ofKilled.written.has(request), `request ${at} had a line`);
    const { done } = told.get(at) ?? {};
    assert.ok(done === undefined || written.every((began) => began < done), `request ${at} has no line, and a later one has`);
  }
}

/** The number of a request in what a provider was sent. */
export function numberOf(text: string): number {
  return Number(/<(\d+)>/.exec(text)?.[1]);
}
