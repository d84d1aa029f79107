import type { TenantContext } from "../../kernel/index.ts";
import type { RequestHead } from "../../wire/index.ts";
import type { Consumer, Profile, RouteFacts } from "../proxy/plugin.ts";
import type { AddressMatcher } from "./addresses.ts";
import { type BodyArguments, parseBodyArguments } from "./body-arguments.ts";
import { type GraphqlOperation, graphqlOf } from "./graphql.ts";
import type { MatchRequest } from "./matcher.ts";
import { normalisePath } from "./normalise-path.ts";
import type { PathParameters } from "./path-tree.ts";
import { type QueryReading, readQueryArguments, valueWithOneReading } from "./query-arguments.ts";
import { observedAddress } from "./real-address.ts";
import { variableGetter } from "./variables.ts";

/** What a request says about whom it is for, before anything of it is proved. Good for choosing a route, which is checked after proof, and for nothing else. */
export interface Claim {
  readonly tenantId: string | undefined;
  readonly tenantTier: string | undefined;
  readonly principal: string | undefined;
}

/** What requests are looked at with. */
export interface ViewPorts {
  readonly profile: Profile;
  readonly trusted: AddressMatcher | undefined;
  claimOf(head: RequestHead): Claim;
}

const NO_CLAIM: Claim = { tenantId: undefined, tenantTier: undefined, principal: undefined };

/** A request with its variables, each computed when it is first asked for. */
export class RequestView implements MatchRequest {
  readonly head: RequestHead;
  readonly ports: ViewPorts;
  /** The path for matching; undefined when the target has none. */
  readonly normalPath: string | undefined;
  pathParameters: PathParameters | undefined;
  route: RouteFacts | undefined;
  consumer: Consumer | undefined;
  consumerGroupId: string | undefined;
  credentialId: string | undefined;
  bodyInMemory: Uint8Array | undefined;
  /** Whether an unproved claim decided anything. */
  claimUsed = false;
  /** Whether it was who is said to call: a consumer's token may call its user by another name than the consumer has. */
  principalUsed = false;
  /** From here on only what is proved counts. */
  claimOver = false;
  #context: TenantContext | undefined;
  #path: string | undefined;
  #claim: Claim | undefined;
  #remoteAddress: string | undefined;
  #defined: Map<string, string | number> | undefined;
  #arguments: QueryReading | undefined;
  #bodyArguments: BodyArguments | undefined;
  #graphql: GraphqlOperation | "none" | undefined;

  constructor(head: RequestHead, ports: ViewPorts) {
    this.head = head;
    this.ports = ports;
    this.normalPath = normalisePath(head.target.path);
    this.#path = this.normalPath;
  }

  /** The proved tenant. */
  get context(): TenantContext | undefined {
    return this.#context;
  }

  set context(context: TenantContext | undefined) {
    this.#context = context;
  }

  get method(): string {
    return this.head.method;
  }

  get host(): string | undefined {
    return this.head.host;
  }

  get profile(): Profile {
    return this.ports.profile;
  }

  get path(): string {
    return this.#path ?? "/";
  }

  /** The path without the part that names the tenant. */
  set path(path: string) {
    this.#path = path;
  }

  get remoteAddress(): string {
    return (this.#remoteAddress ??= observedAddress(this.head, this.ports));
  }

  variable(name: string): string | number | undefined {
    return this.#defined?.get(name) ?? variableGetter(name)(this);
  }

  define(name: string, value: string | number): void {
    (this.#defined ??= new Map()).set(name, value);
  }

  /** The claim, which then has decided something and must hold at the proof. */
  claim(): Claim {
    if (this.claimOver) return NO_CLAIM;
    this.claimUsed = true;
    return this.peekClaim();
  }

  /** Who is said to call, which then has to hold as well. */
  claimPrincipal(): string | undefined {
    const { principal } = this.claim();
    this.principalUsed ||= !this.claimOver;
    return principal;
  }

  peekClaim(): Claim {
    return (this.#claim ??= this.ports.claimOf(this.head));
  }

  set claimed(claim: Claim) {
    this.#claim = claim;
  }

  queryArgument(name: string): string | undefined {
    this.#arguments ??= readQueryArguments(this.head.target.query);
    return this.profile === "strict" ? valueWithOneReading(this.#arguments, name) : this.#arguments.values.get(name);
  }

  bodyArgument(path: string): string | number | undefined {
    return this.#bodyArgumentsRead()?.value(path);
  }

  list(name: string): readonly unknown[] | undefined {
    if (name === "graphql_root_fields") return this.graphql()?.rootFields;
    return name.startsWith("post_arg.") ? this.#bodyArgumentsRead()?.values(name.slice("post_arg.".length)) : undefined;
  }

  /** The first operation of the GraphQL document that the request carries, if any. */
  graphql(): GraphqlOperation | undefined {
    const { method, headers, target } = this.head;
    this.#graphql ??= graphqlOf(method, target.query, headers.all("content-type")[0], this.bodyInMemory) ?? "none";
    return this.#graphql === "none" ? undefined : this.#graphql;
  }

  #bodyArgumentsRead(): BodyArguments | undefined {
    if (!this.bodyInMemory) return undefined;
    return (this.#bodyArguments ??= parseBodyArguments(this.head.headers.all("content-type")[0], this.bodyInMemory));
  }
}
