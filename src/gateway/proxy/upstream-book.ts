import type { SslSettings, UpstreamSettings } from "../dialect/objects.ts";
import { Upstream, type UpstreamPorts } from "../upstreams/upstream.ts";

interface Entry {
  readonly upstream: Upstream;
  users: number;
}

/** Upstreams over all documents: one whose id and settings stay the same stays too, with its positions, its latencies and its health. */
export class UpstreamBook {
  readonly #entries = new Map<string, Entry>();
  readonly #keys = new Map<Upstream, string>();
  readonly #ports: UpstreamPorts;
  readonly #onClose: (upstream: Upstream) => void;

  constructor(ports: UpstreamPorts, onClose: (upstream: Upstream) => void) {
    this.#ports = ports;
    this.#onClose = onClose;
  }

  /** Upstreams of two generations are never the same. */
  take(id: string, settings: UpstreamSettings, certificate: SslSettings | undefined, generation: number): Upstream {
    const key = JSON.stringify([generation, id, settings, certificate ?? null]);
    const known = this.#entries.get(key);
    if (known) {
      known.users++;
      return known.upstream;
    }
    const upstream = new Upstream(id, settings, certificate, this.#ports);
    this.#entries.set(key, { upstream, users: 1 });
    this.#keys.set(upstream, key);
    return upstream;
  }

  release(upstream: Upstream): void {
    const key = this.#keys.get(upstream);
    const entry = key === undefined ? undefined : this.#entries.get(key);
    if (key === undefined || !entry || --entry.users > 0) return;
    this.#entries.delete(key);
    this.#keys.delete(upstream);
    this.#onClose(upstream);
  }

  all(): readonly Upstream[] {
    return [...this.#entries.values()].map(({ upstream }) => upstream);
  }
}
