import { lookup } from "node:dns/promises";
import { BoundedMap, type Clock } from "../kernel/index.ts";

/** How long addresses are used before they are asked for again. The system's resolver does not tell their own time. */
const FRESH_MS = 30_000;
/** A name that could not be resolved is not asked for again at once. */
const FAILED_MS = 1_000;
const NAMES_MAX = 10_000;

/** All addresses of a host name. Rejects when there are none. */
export type ResolveName = (name: string) => Promise<readonly string[]>;

interface Known {
  readonly addresses: readonly string[];
  readonly asOfMs: number;
  turn: number;
}

/**
 * Addresses of names, asked for once and then kept: a request waits only when a name is seen for the first time. What is known goes on being
 * used while it is asked for again, also when that fails.
 */
export class NameResolver {
  readonly #known = new BoundedMap<string, Known>(NAMES_MAX);
  readonly #asking = new Map<string, Promise<void>>();
  readonly #clock: Clock;
  readonly #resolve: ResolveName;

  constructor(clock: Clock, resolve: ResolveName = resolveBySystem) {
    this.#clock = clock;
    this.#resolve = resolve;
  }

  /** Whether it has an address. It is asked for, or asked for again, if that is due. */
  has(name: string): boolean | Promise<boolean> {
    const known = this.#known.get(name);
    const age = known && this.#clock.monotonic() - known.asOfMs;
    if (known && age !== undefined && age < (known.addresses.length === 0 ? FAILED_MS : FRESH_MS)) return known.addresses.length > 0;
    const asked = this.#ask(name);
    if (known && known.addresses.length > 0) return true;
    return asked.then(() => (this.#known.peek(name)?.addresses.length ?? 0) > 0);
  }

  /** One of its addresses in turn, as far as they are known now. */
  next(name: string): string | undefined {
    const known = this.#known.peek(name);
    return known?.addresses[known.turn++ % known.addresses.length];
  }

  #ask(name: string): Promise<void> {
    const asking = this.#asking.get(name) ?? this.#askAnew(name).finally(() => this.#asking.delete(name));
    this.#asking.set(name, asking);
    return asking;
  }

  async #askAnew(name: string): Promise<void> {
    const before = this.#known.peek(name)?.addresses ?? [];
    let addresses: readonly string[];
    try {
      addresses = await this.#resolve(name);
    } catch {
      addresses = before; // an old address may still be right; none certainly is not
    }
    this.#known.set(name, { addresses, asOfMs: this.#clock.monotonic(), turn: 0 });
  }
}

/** As every other program on this machine sees the name, hosts file and search domains included; IPv6 only where there is nothing else. */
async function resolveBySystem(name: string): Promise<readonly string[]> {
  const all = await lookup(name, { all: true });
  const four = all.filter(({ family }) => family === 4);
  return (four.length > 0 ? four : all).map(({ address }) => address);
}
