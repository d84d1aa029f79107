import { Fault } from "../../kernel/index.ts";
import type { KeyBinding, RootKeys, WrappedKey } from "./port.ts";

/**
 * The root keys of an installation: the first wraps, all can unwrap. To change the place of the root key, the new one is put in front and the
 * old one stays until nothing is under it any more.
 */
export class RootList {
  readonly #roots: readonly [RootKeys, ...RootKeys[]];

  constructor(roots: readonly [RootKeys, ...RootKeys[]]) {
    this.#roots = roots;
  }

  async inForce(own: string | null): Promise<string> {
    if (own === null) return await this.#roots[0].inForce();
    const { root, key } = this.#ownOf(own);
    return await root.inForce(key);
  }

  async wrap(dataKey: Uint8Array, binding: KeyBinding, own: string | null): Promise<WrappedKey> {
    if (own === null) return await this.#roots[0].wrap(dataKey, binding);
    const { root, key } = this.#ownOf(own);
    return await root.wrap(dataKey, binding, key);
  }

  async unwrap(wrapped: WrappedKey, binding: KeyBinding): Promise<Buffer> {
    const kind = kindOf(wrapped.root);
    const candidates = this.#roots.filter((root) => root.kind === kind);
    let failure: unknown = new Fault(
      "dependency_unavailable",
      `no root key of the kind ${kind} is set, and a key is under ${wrapped.root}`,
    );
    for (const root of candidates) {
      try {
        const dataKey = await root.unwrap(wrapped, binding);
        if (dataKey.length === 32) return dataKey;
        failure = new Fault("dependency_unavailable", `${wrapped.root} gave a key of ${dataKey.length} bytes`);
      } catch (error) {
        failure = error; // there can be two places of one kind, in the middle of a change from one to the other
      }
    }
    throw failure;
  }

  /** Throws `invalid_settings` unless a tenant can have this root key of its own. */
  checkOwn(own: string): void {
    const { root, key } = this.#ownOf(own);
    root.checkOwn(key);
  }

  #ownOf(own: string): { root: RootKeys; key: string } {
    const kind = kindOf(own);
    const root = this.#roots.find((each) => each.kind === kind);
    if (!root) {
      const detail = `No root keys of the kind ${kind} are set in this installation.`;
      throw new Fault("invalid_settings", detail, { public: { detail, field: "root" } });
    }
    return { root, key: own.slice(kind.length + 1) };
  }
}

function kindOf(root: string): string {
  return root.slice(0, Math.max(0, root.indexOf(":")));
}
