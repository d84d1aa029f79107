import { Fault, toFault } from "../kernel/index.ts";
import type { Answer, HeaderEdit, LastPiece, ResponsePlan } from "../wire/index.ts";
import type { Outcome } from "./attempts.ts";
import { StreamMeter, type WholeMeter } from "./meter/answer-meter.ts";
import type { TextRewriter } from "./meter/text-rewriter.ts";
import { unreadable } from "./refused-answers.ts";
import type { StreamEnding } from "./translation/translation.ts";

/** What is done with one answer on its way to the caller. */
export interface AnswerSteps {
  readonly status: number;
  readonly headers: HeaderEdit;
  readonly isStream: boolean;
  readonly meter: WholeMeter | StreamMeter;
  /** Is told of every piece, undefined at the end, and gives back what was made of it. */
  seen<T>(piece: Uint8Array | undefined, made: T): T;
  /** The answer is over without having come to its end here. */
  over(outcome: Outcome): void;
  /** Why it was ended here, or undefined. */
  stopped(): Fault | undefined;
  /** What ends a stream of the caller's protocol. */
  ending(fault: Fault): string;
  /** Keeps a piece of a whole answer, undefined at its end. */
  keep(piece: Uint8Array | undefined): void;
  refusal(fault: Fault): Answer;
  /** Gives the tenant its own ids of what the provider keeps; undefined where they may stay as they are. */
  readonly ids: TextRewriter | undefined;
  /** Puts it into the caller's protocol; undefined where it is in it. */
  readonly translate: ((body: AsyncIterable<Uint8Array>, ending: StreamEnding) => Promise<Uint8Array | AsyncIterable<string>>) | undefined;
  /** Looks at what would go on, and gives what may; undefined where nobody wants to look. */
  readonly look: ((body: Uint8Array) => Promise<Uint8Array>) | undefined;
}

/** The longest answer that is held to be looked at. */
const HELD_BYTES_MAX = 8 * 1024 * 1024;

/** How an answer goes on: as it comes, remade in another protocol, or held until it was looked at. */
export function planFor(steps: AnswerSteps): ResponsePlan {
  if (steps.look) return held(steps, steps.look);
  if (steps.translate) return remade(steps, steps.translate);
  const { status, headers, meter } = steps;
  if (!steps.isStream) {
    return {
      kind: "map",
      status,
      headers,
      map: (piece) => {
        const made = named(steps, meter.map(piece), piece === undefined);
        if (made && !("last" in made)) steps.keep(made);
        if (piece === undefined) steps.keep(undefined);
        return steps.seen(piece, made);
      },
      // what has no end of its own must not look whole
      broken: () => {
        steps.over("broken");
        return undefined;
      },
    };
  }
  return {
    kind: "map",
    status,
    headers,
    map: (piece) => steps.seen(piece, named(steps, meter.map(piece), piece === undefined)),
    broken: (reason) => {
      const ending = steps.ending(brokenOff(reason));
      steps.over("broken");
      return Buffer.from(ending);
    },
  };
}

/** The next piece with the tenant's ids in it. What ends a stream here has none. */
function named({ ids }: AnswerSteps, made: Uint8Array | LastPiece | undefined, isEnd: boolean): Uint8Array | LastPiece | undefined {
  if (!ids || (made && "last" in made)) return made;
  const piece = made && ids.push(made);
  return isEnd ? Buffer.concat([piece ?? Buffer.alloc(0), ids.push(undefined)]) : piece;
}

/** Nothing of the answer goes on before all of it was looked at. What it has used is settled, whatever is found. */
function held(steps: AnswerSteps, look: NonNullable<AnswerSteps["look"]>): ResponsePlan {
  return {
    kind: "collect",
    bytesMax: HELD_BYTES_MAX,
    whole: async (body) => {
      if (!body) {
        steps.over("broken");
        return steps.refusal(unreadable(`an answer over ${HELD_BYTES_MAX} bytes, which cannot be looked at`));
      }
      const read = steps.meter.map(body) ?? body;
      const stopped = steps.stopped();
      steps.over(stopped ? "cut" : isTorn(steps) ? "broken" : "ok");
      if (stopped) return steps.refusal(stopped);
      try {
        const whole = named(steps, read, true) ?? read;
        const passed = "last" in whole ? whole.last : whole;
        const made = await look(steps.translate ? await collected(await steps.translate(once(passed), endingOf(steps))) : passed);
        return kept(steps, made);
      } catch (error) {
        return steps.refusal(toFault(error));
      }
    },
  };
}

function remade(steps: AnswerSteps, translate: NonNullable<AnswerSteps["translate"]>): ResponsePlan {
  return {
    kind: "remake",
    answer: async (body) => {
      try {
        const made = await translate(metered(steps, body), endingOf(steps));
        return made instanceof Uint8Array ? kept(steps, made) : answerOf(steps, made);
      } catch (error) {
        return steps.refusal(toFault(error));
      }
    },
  };
}

/** The provider's bytes, read on their way, up to where they may not go on. */
async function* metered(steps: AnswerSteps, body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for await (const piece of body) {
      const made = steps.seen(piece, steps.meter.map(piece));
      if (made && "last" in made) return;
      if (made) yield made;
    }
    if (isTorn(steps)) steps.over("broken");
    const rest = steps.seen(undefined, steps.meter.map(undefined));
    if (rest && !("last" in rest)) yield rest;
  } catch (error) {
    steps.over("broken");
    throw error;
  }
}

/** A stream that is over although it has not said why: its reader must not take what came for all of it. */
function isTorn({ meter }: AnswerSteps): boolean {
  return meter instanceof StreamMeter && !meter.ended;
}

function endingOf(steps: AnswerSteps): StreamEnding {
  return (isComplete) => {
    const fault = steps.stopped() ?? (isComplete && !isTorn(steps) ? undefined : brokenOff("the stream did not come to its end"));
    return fault ? steps.ending(fault) : "";
  };
}

function kept(steps: AnswerSteps, body: Uint8Array): Answer {
  steps.keep(body);
  steps.keep(undefined);
  return answerOf(steps, body);
}

function answerOf({ status, headers }: AnswerSteps, body: Answer["body"]): Answer {
  return { status, headers: Object.fromEntries(headers.fields()), body };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield await Promise.resolve(bytes);
}

async function collected(body: Uint8Array | AsyncIterable<string>): Promise<Uint8Array> {
  if (body instanceof Uint8Array) return body;
  const pieces: Buffer[] = [];
  for await (const piece of body) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

function brokenOff(reason: string): Fault {
  return new Fault("upstream_unreachable", reason, { public: { detail: "The provider broke its answer off." } });
}
