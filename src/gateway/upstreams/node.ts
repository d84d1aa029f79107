import type { Origin, OriginTls } from "../../wire/index.ts";
import type { NodeSettings, UpstreamSettings } from "../dialect/objects.ts";

/** Whether a node is chosen: it is `healthy` until checks say otherwise; the two in between say that opinions differ lately. */
export type NodeHealth = "healthy" | "mostly_healthy" | "mostly_unhealthy" | "unhealthy";

const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443, grpc: 80, grpcs: 443 };
/** Names shown to a node by SNI that are kept with their origin. */
const SERVER_NAMES_MAX = 64;

/** One address of an upstream, with what is known of it now. */
export class Node {
  /** As configured: a name or an address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  readonly weight: number;
  readonly priority: number;
  /** `host:port`. */
  readonly address: string;
  /** What `pass_host: node` sends: the port only when it is not the scheme's own. */
  readonly authority: string;
  readonly origin: Origin;
  /** Tries under way. */
  busy = 0;
  health: NodeHealth = "healthy";
  readonly #byServerName = new Map<string, Origin>();

  constructor(settings: NodeSettings, upstream: UpstreamSettings, tls: OriginTls | undefined) {
    this.host = settings.host.replace(/^\[(.*)\]$/, "$1");
    const standard = DEFAULT_PORTS[upstream.scheme];
    this.port = settings.port ?? standard ?? 80;
    this.weight = settings.weight;
    this.priority = settings.priority ?? 0;
    const shown = this.host.includes(":") ? `[${this.host}]` : this.host;
    this.address = `${shown}:${this.port}`;
    this.authority = this.port === standard ? shown : this.address;
    this.origin = { host: this.host, port: this.port, tls };
  }

  get usable(): boolean {
    return this.health === "healthy" || this.health === "mostly_healthy";
  }

  /** The origin with another server name in its TLS handshake; itself without TLS. */
  originNamed(serverName: string | undefined): Origin {
    const { tls } = this.origin;
    if (!tls || serverName === undefined || serverName === tls.serverName) return this.origin;
    const known = this.#byServerName.get(serverName);
    if (known) return known;
    const origin = { ...this.origin, tls: { ...tls, serverName } };
    if (this.#byServerName.size < SERVER_NAMES_MAX) this.#byServerName.set(serverName, origin);
    return origin;
  }
}
