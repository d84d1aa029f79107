import { BoundedMap } from "../../../kernel/index.ts";
import type { ConsumerCredential, PluginPorts } from "../../proxy/plugin.ts";
import type { Token } from "./token.ts";

/** At most so many tokens of at most so many characters: some 20 MB. */
const TOKENS_MAX = 10_000;
const TOKEN_LENGTH_MAX = 2_048;

interface Verified {
  readonly token: Token;
  /** The settings of the credential whose key has verified it: changed settings are another object. */
  readonly settings: object;
}

/**
 * Tokens whose signature was right, by their text, for all places of one data plane: a public-key signature costs more than everything else
 * of a request. Nothing that was wrong is kept, so nobody can fill this with guesses.
 */
export class VerifiedTokens {
  readonly #tokens = new BoundedMap<string, Verified>(TOKENS_MAX);

  /** The token, read before. It is still to be held against its credential and the time. */
  token(text: string): Token | undefined {
    return this.#tokens.get(text)?.token;
  }

  isOf(text: string, found: ConsumerCredential): boolean {
    return this.#tokens.peek(text)?.settings === found.settings;
  }

  keep(text: string, token: Token, found: ConsumerCredential): void {
    if (text.length <= TOKEN_LENGTH_MAX) this.#tokens.set(text, { token, settings: found.settings });
  }
}

const byPlane = new WeakMap<PluginPorts, VerifiedTokens>();

/** The verified tokens of the data plane with these ports. */
export function verifiedTokensOf(ports: PluginPorts): VerifiedTokens {
  const known = byPlane.get(ports);
  if (known) return known;
  const made = new VerifiedTokens();
  byPlane.set(ports, made);
  return made;
}
