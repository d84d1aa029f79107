import { createHash, randomUUID } from "node:crypto";
import { RedisConnection } from "../../stores/cache/index.ts";
import {
  type BucketAsk,
  type BucketLease,
  type LimitLedger,
  SLOT_LIFE_MS,
  type SlotAsk,
  type SlotLease,
  type WindowAsk,
  type WindowLease,
} from "./ledger.ts";
import { BUCKET, GATEWAYS, type RedisScript, SLOTS, WINDOW } from "./redis-scripts.ts";

/** Where Redis is and who shares it. */
export interface RedisLedgerOptions {
  /** `redis://` or `rediss://`, with credentials if there are any. */
  readonly url: string;
  /** Gateways there are at least: what the limits are divided by while Redis was never reached. */
  readonly gatewaysMin?: number;
  /** Told of each change between reached and not; `error` says why not. */
  readonly onChange?: (reached: boolean, error?: Error) => void;
}

const PREFIX = "freehold:limits:";
const HELLO_MS = 1_000;
/** A gateway that has not said hello for so long is not counted. */
const GATEWAY_LIFE_MS = 5_000;
/** A connection on which a hello is not answered for so long is given up. */
const SILENT_MS = 3_000;

/**
 * A ledger in Redis 7 or newer. One key for each counter, a digest: nothing of a tenant or caller can be read from it, no two lists of parts
 * make the same one, and no part can choose a cluster slot. Every key expires by itself. Made at once; it connects, and connects again, in
 * the background.
 */
export function createRedisLedger(options: RedisLedgerOptions): LimitLedger {
  return new RedisLedger(options);
}

class RedisLedger implements LimitLedger {
  readonly #options: RedisLedgerOptions;
  readonly #id = randomUUID();
  readonly #timer: NodeJS.Timeout;
  readonly #connection: RedisConnection;
  #gateways: number;
  /** When so many were last heard of. */
  #gatewaysMs = performance.now();
  #helloSince: number | undefined;

  constructor(options: RedisLedgerOptions) {
    this.#options = options;
    this.#gateways = this.#atLeast(1);
    this.#connection = new RedisConnection({
      url: options.url,
      onReady: () => this.#hello(),
      onError: (error) => this.#connection.tell(false, error),
      onChange: options.onChange,
    });
    this.#timer = setInterval(() => this.#hello(), HELLO_MS).unref();
  }

  get gateways(): number {
    return this.#gateways;
  }

  async window({ key, shape, windowId, ...ask }: WindowAsk): Promise<WindowLease> {
    const { leftMs, held, debt, unused, need, want, gateways } = ask;
    const { count, windowMs, kind } = shape;
    const reply = await this.#run(WINDOW, key, [count, windowMs, kind, windowId, leftMs, held, debt, unused, need, want, gateways]);
    const [id, turned, granted, used, before, elapsedMs] = reply;
    return {
      windowId: String(id),
      turned: Number(turned) === 1,
      granted: Number(granted),
      used: Number(used),
      before: Number(before),
      elapsedMs: Number(elapsedMs),
    };
  }

  async bucket({ key, shape, debt, need, want, gateways }: BucketAsk): Promise<BucketLease> {
    const [granted, excess] = await this.#run(BUCKET, key, [shape.perSecond, shape.burst, debt, need, want, gateways]);
    return { granted: Number(granted), excess: Number(excess) };
  }

  async slots({ key, max, held, want }: SlotAsk): Promise<SlotLease> {
    const [granted, others] = await this.#run(SLOTS, key, [this.#id, max, held, want, SLOT_LIFE_MS]);
    return { granted: Number(granted), others: Number(others) };
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    // without this the others divide by one too many for some seconds: not worth a wait
    if (this.#connection.client.isReady) this.#greet(0).catch(() => {});
    await this.#connection.close();
  }

  async #run(script: RedisScript, key: string, values: readonly (string | number)[]): Promise<readonly unknown[]> {
    const digest = createHash("sha256").update(key).digest("base64url");
    const reply = await this.#evaluate(script, `${PREFIX}${digest}`, values.map(String));
    if (!Array.isArray(reply)) throw new TypeError("Redis did not answer with a list");
    return reply as readonly unknown[]; // of what, its users check by reading numbers
  }

  async #evaluate({ sha, text }: RedisScript, key: string, values: string[]): Promise<unknown> {
    const options = { keys: [key], arguments: values };
    try {
      return await this.#connection.client.evalSha(sha, options);
    } catch (error) {
      if (error instanceof Error && error.message.startsWith("NOSCRIPT")) return await this.#connection.client.eval(text, options);
      throw error;
    }
  }

  #hello(): void {
    const nowMs = performance.now();
    if (this.#helloSince !== undefined && nowMs - this.#helloSince > SILENT_MS) return this.#reopen();
    if (this.#helloSince !== undefined || !this.#connection.client.isReady) return;
    const { client } = this.#connection;
    this.#helloSince = nowMs;
    const ended = (reached: boolean): void => {
      if (client !== this.#connection.client) return;
      this.#helloSince = undefined;
      this.#connection.tell(reached);
    };
    this.#greet(GATEWAY_LIFE_MS).then(
      (count) => {
        this.#countGateways(this.#atLeast(Number(count)), performance.now());
        ended(true);
      },
      () => ended(false),
    );
  }

  /** Fewer only after a while: a Redis that has come back empty knows of those first that were first to say hello. */
  #countGateways(count: number, nowMs: number): void {
    if (count < this.#gateways && nowMs - this.#gatewaysMs < GATEWAY_LIFE_MS) return;
    this.#gateways = count;
    this.#gatewaysMs = nowMs;
  }

  async #greet(lifeMs: number): Promise<unknown> {
    return await this.#evaluate(GATEWAYS, `${PREFIX}gateways`, [this.#id, String(lifeMs)]);
  }

  /** Half a connection: the other side is gone or stands still, and nothing says so. */
  #reopen(): void {
    this.#helloSince = undefined;
    this.#connection.reopen(new Error("Redis is silent"));
  }

  #atLeast(count: number): number {
    return Math.max(count, this.#options.gatewaysMin ?? 1);
  }
}
