import { createHash } from "node:crypto";
import { type Clock, type Fault, parseJson, toFault } from "../../kernel/index.ts";
import { checkJwkSet, type KeySet } from "./jwk.ts";
import type { IssuerSettings } from "./settings.ts";

/** At most one fetch per issuer in this time, whatever comes in: unknown key names and failures cause no more. */
export const COOL_DOWN_MS = 30_000;
/** Older sets are fetched again, while the old one still serves. */
export const AGE_MAX_MS = 10 * 60_000;
/** Without a good answer for this long, nothing the issuer signed is believed. */
export const STALE_MAX_MS = 24 * 60 * 60_000;

const JWKS_BOUNDS = { bytesMax: 64 * 1024, depthMax: 8 };

/** What key sets are fetched with. */
export interface KeySetPorts {
  readonly clock: Clock;
  /** The cool-down until the first good answer, for whoever starts together with the issuer; as long as later ones unless said. */
  readonly firstCoolDownMs?: number;
  /** The body of a successful answer. The caller bounds its size, its time and where it may go. */
  readonly fetchBytes: (url: string) => Promise<Uint8Array>;
  /** Told why a set could not be had or was refused; the last good one goes on serving. */
  readonly keySetFailed?: ((issuer: string, fault: Fault) => void) | undefined;
}

/** The keys of all issuers. One issuer's keys, outages and floods are never another's. */
export interface KeySets {
  /** The set to believe at this moment, without waiting. The same object as long as its content is the same. */
  current(issuer: string): KeySet | undefined;
  /** The set after a fetch, when one is under way or allowed by now; otherwise the current one. */
  renewed(issuer: string): Promise<KeySet | undefined>;
  /** Fetches every set once, so that no request has to wait for it. Never fails. */
  warm(): Promise<void>;
}

/** Key sets of these issuers. Throws `weak_key` when a set in the settings is not good. */
export function createKeySets(issuers: readonly IssuerSettings[], ports: KeySetPorts): KeySets {
  const fixed = new Map<string, KeySet>();
  const fetched = new Map<string, FetchedKeySet>();
  for (const { issuer, jwks, jwksUrl } of issuers) {
    if (jwks) fixed.set(issuer, checkJwkSet(jwks));
    else if (jwksUrl !== undefined) fetched.set(issuer, new FetchedKeySet(issuer, jwksUrl, ports));
  }
  return {
    current: (issuer) => fixed.get(issuer) ?? fetched.get(issuer)?.current(),
    renewed: async (issuer) => fixed.get(issuer) ?? fetched.get(issuer)?.renewed(),
    warm: async () => void (await Promise.all(Array.from(fetched.values(), (set) => set.renewed()))),
  };
}

class FetchedKeySet {
  readonly #issuer: string;
  readonly #url: string;
  readonly #ports: KeySetPorts;
  #set: KeySet | undefined;
  #digest = "";
  #fetchedAtMs = -Infinity;
  #triedAtMs = -Infinity;
  #underWay: Promise<void> | undefined;

  constructor(issuer: string, url: string, ports: KeySetPorts) {
    this.#issuer = issuer;
    this.#url = url;
    this.#ports = ports;
  }

  current(): KeySet | undefined {
    if (!this.#set) return undefined;
    const ageMs = this.#ports.clock.monotonic() - this.#fetchedAtMs;
    if (ageMs > AGE_MAX_MS) void this.#refresh();
    return ageMs > STALE_MAX_MS ? undefined : this.#set;
  }

  async renewed(): Promise<KeySet | undefined> {
    await this.#refresh();
    return this.current();
  }

  /** Never rejects. */
  #refresh(): Promise<void> {
    if (this.#underWay) return this.#underWay;
    const now = this.#ports.clock.monotonic();
    const coolDownMs = this.#set ? COOL_DOWN_MS : (this.#ports.firstCoolDownMs ?? COOL_DOWN_MS);
    if (now - this.#triedAtMs < coolDownMs) return Promise.resolve();
    this.#triedAtMs = now;
    this.#underWay = this.#fetch().finally(() => (this.#underWay = undefined));
    return this.#underWay;
  }

  async #fetch(): Promise<void> {
    try {
      const bytes = await this.#ports.fetchBytes(this.#url);
      const digest = createHash("sha256").update(bytes).digest("hex");
      // verified tokens are remembered per set: an unchanged one stays the same object, so that they are not all verified again
      if (!this.#set || digest !== this.#digest) this.#set = checkJwkSet(parseJson(bytes, JWKS_BOUNDS));
      this.#digest = digest;
      this.#fetchedAtMs = this.#triedAtMs; // when it was asked for: the answer is not older than that
    } catch (error) {
      this.#ports.keySetFailed?.(this.#issuer, toFault(error));
    }
  }
}
