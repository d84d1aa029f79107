import ipaddr from "ipaddr.js";
import type { Origin, OriginTls } from "../../wire/index.ts";
import type { NodeSettings, UpstreamSettings } from "../dialect/objects.ts";

/** Whether a node is chosen: it is `healthy` until checks say otherwise; the two in between say that opinions differ lately. */
export type NodeHealth = "healthy" | "mostly_healthy" | "mostly_unhealthy" | "unhealthy";

const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443, grpc: 80, grpcs: 443 };
/** Origins of one node that are kept: its addresses, each with the names shown to it by SNI. */
const ORIGINS_MAX = 64;

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
  /** Its host is a name, which stands for addresses that change. */
  readonly isName: boolean;
  readonly #origins = new Map<string, Origin>();

  constructor(settings: NodeSettings, upstream: UpstreamSettings, tls: OriginTls | undefined) {
    this.host = settings.host.replace(/^\[(.*)\]$/, "$1");
    const standard = DEFAULT_PORTS[upstream.scheme];
    this.port = settings.port ?? standard ?? 80;
    this.weight = settings.weight;
    this.priority = settings.priority ?? 0;
    const shown = this.host.includes(":") ? `[${this.host}]` : this.host;
    this.address = `${shown}:${this.port}`;
    const isBare = upstream.of_split === true && upstream.scheme !== "https";
    this.authority = this.port === standard || isBare ? shown : this.address;
    this.isName = !ipaddr.isValid(this.host);
    const serverName = tls?.serverName ?? (this.isName ? this.host : undefined);
    this.origin = { host: this.host, port: this.port, tls: tls && { ...tls, serverName } };
  }

  get usable(): boolean {
    return this.health === "healthy" || this.health === "mostly_healthy";
  }

  /** The origin at this address, with this server name in its TLS handshake; its own where nothing is said. */
  originAt(address: string | undefined, serverName: string | undefined): Origin {
    const { tls, port } = this.origin;
    const name = tls && (serverName ?? tls.serverName);
    if ((address === undefined || address === this.host) && name === tls?.serverName) return this.origin;
    const key = `${address ?? ""} ${name ?? ""}`;
    const known = this.#origins.get(key);
    if (known) return known;
    const origin: Origin = { host: address ?? this.host, port, tls: tls && { ...tls, serverName: name } };
    if (this.#origins.size >= ORIGINS_MAX) this.#origins.clear();
    this.#origins.set(key, origin);
    return origin;
  }
}
