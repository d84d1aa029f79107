import { BoundedMap } from "../../kernel/index.ts";
import type { BucketAsk, BucketLease, LimitLedger, SlotAsk, SlotLease, WindowAsk, WindowLease } from "./ledger.ts";

/** One end of a channel between two processes that trust each other; what else goes over it is passed over. */
export interface MessageEnd {
  send(message: unknown): void;
  /** Gives a function that stops listening. */
  onMessage(listener: (message: unknown) => void): () => void;
}

/** Questions that may be unanswered at a time; beyond them the oldest is given up. */
const PENDING_MAX = 20_000;

type Question =
  | { readonly kind: "join" }
  | { readonly kind: "window"; readonly ask: WindowAsk }
  | { readonly kind: "bucket"; readonly ask: BucketAsk }
  | { readonly kind: "slots"; readonly ask: SlotAsk };

interface QuestionMessage {
  readonly limitQuestion: number;
  readonly question: Question;
}

interface AnswerMessage {
  readonly limitAnswer: number;
  readonly gateways: number;
  /** Absent when the question could not be answered. */
  readonly answer?: unknown;
}

interface Pending {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Lets the process at the other end use this ledger. To be called in the primary process for each of its others, with a membership of its
 * own; the function it gives has to be called when that process ends: what it held is free again from then on.
 */
export function serveLedger(ledger: LimitLedger, end: MessageEnd): () => Promise<void> {
  const stop = end.onMessage((message) => {
    if (!isQuestion(message)) return;
    const id = message.limitQuestion;
    answer(ledger, message.question).then(
      (found) => end.send({ limitAnswer: id, gateways: ledger.gateways, answer: found } satisfies AnswerMessage),
      () => end.send({ limitAnswer: id, gateways: ledger.gateways } satisfies AnswerMessage),
    );
  });
  return async () => {
    stop();
    await ledger.close();
  };
}

async function answer(ledger: LimitLedger, question: Question): Promise<unknown> {
  switch (question.kind) {
    case "join":
      return true;
    case "window":
      return await ledger.window(question.ask);
    case "bucket":
      return await ledger.bucket(question.ask);
    case "slots":
      return await ledger.slots(question.ask);
  }
}

/** The ledger that the process at the other end serves. `gatewaysMin` is what limits are divided by until it has answered. */
export function createMessageLedger(end: MessageEnd, gatewaysMin = 1): LimitLedger {
  return new MessageLedger(end, gatewaysMin);
}

class MessageLedger implements LimitLedger {
  readonly #end: MessageEnd;
  readonly #stop: () => void;
  readonly #gatewaysMin: number;
  readonly #pending = new BoundedMap<number, Pending>(PENDING_MAX, (_id, { reject }) => reject(new Error("too many questions")));
  #gateways: number;
  #asked = 0;

  constructor(end: MessageEnd, gatewaysMin: number) {
    this.#end = end;
    this.#gatewaysMin = gatewaysMin;
    this.#gateways = gatewaysMin;
    this.#stop = end.onMessage((message) => this.#hear(message));
    this.#put({ kind: "join" }).catch(() => {});
  }

  get gateways(): number {
    return this.#gateways;
  }

  // the answers come from the same program in another process
  async window(ask: WindowAsk): Promise<WindowLease> {
    return (await this.#put({ kind: "window", ask })) as WindowLease;
  }

  async bucket(ask: BucketAsk): Promise<BucketLease> {
    return (await this.#put({ kind: "bucket", ask })) as BucketLease;
  }

  async slots(ask: SlotAsk): Promise<SlotLease> {
    return (await this.#put({ kind: "slots", ask })) as SlotLease;
  }

  async close(): Promise<void> {
    this.#stop();
    for (const [, { reject }] of this.#pending.entries()) reject(new Error("the ledger was closed"));
    this.#pending.clear();
  }

  #put(question: Question): Promise<unknown> {
    const id = ++this.#asked;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      try {
        this.#end.send({ limitQuestion: id, question } satisfies QuestionMessage);
      } catch (error) {
        this.#pending.delete(id);
        reject(new Error("the other process cannot be reached", { cause: error }));
      }
    });
  }

  #hear(message: unknown): void {
    if (!isAnswer(message)) return;
    this.#gateways = Math.max(message.gateways, this.#gatewaysMin);
    const pending = this.#pending.peek(message.limitAnswer);
    this.#pending.delete(message.limitAnswer);
    if (message.answer === undefined) pending?.reject(new Error("the other process did not answer"));
    else pending?.resolve(message.answer);
  }
}

function isQuestion(message: unknown): message is QuestionMessage {
  return typeof message === "object" && message !== null && "limitQuestion" in message;
}

function isAnswer(message: unknown): message is AnswerMessage {
  return typeof message === "object" && message !== null && "limitAnswer" in message;
}
