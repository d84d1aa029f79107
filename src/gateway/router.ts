import { Fault } from "../kernel/index.ts";
import type { Operation } from "./operation.ts";

/** The operation for a request, and the values of the names in its path. */
export interface Match {
  readonly operation: Operation;
  readonly params: Readonly<Record<string, string>>;
}

interface Node {
  readonly children: Map<string, Node>;
  /** The child for `{name}`, where a path has one here. */
  parameter: { readonly name: string; readonly node: Node } | undefined;
  readonly operations: Map<string, Operation>;
}

/** Finds operations by method and path. Two operations that could answer the same request are refused when it is made. */
export interface Router {
  /** Throws `not_found`, or `method_not_allowed` with the methods there are. */
  match(method: string, segments: readonly string[]): Match;
  /** Whether an operation is at this path, whatever the method and whether or not the path begins with a tenant. */
  has(path: string): boolean;
  /** The operation that such a request is meant for, as far as its line says; undefined where there is none. */
  peek(method: string, path: string): Operation | undefined;
}

/** A router over these operations. */
export function createRouter(operations: readonly Operation[]): Router {
  const root = createNode();
  for (const operation of operations) insert(root, operation);
  const has = (path: string): boolean => {
    // nearly all paths end here: what is asked of a proxy is seldom in one of our own places
    if (!root.parameter && !root.children.has(firstSegment(path))) return false;
    const node = walk(root, path.split("/").filter(Boolean), {});
    return node !== undefined && node.operations.size > 0;
  };
  return {
    has: (path) => has(withoutTenant(path)),
    peek: (method, path) => walk(root, withoutTenant(path).split("/").filter(Boolean), {})?.operations.get(method),
    match(method, segments) {
      const params: Record<string, string> = {};
      const node = walk(root, segments, params);
      if (!node || node.operations.size === 0) throw new Fault("not_found", `no route for /${segments.join("/")}`);
      // HEAD is answered as GET without its body (RFC 9110, 9.3.2)
      const operation = node.operations.get(method === "HEAD" ? "GET" : method);
      if (!operation) throw notAllowed(node);
      return { operation, params };
    },
  };
}

const TENANTS_PREFIX = "/tenants/";

function withoutTenant(path: string): string {
  return path.startsWith(TENANTS_PREFIX) ? path.slice(path.indexOf("/", TENANTS_PREFIX.length)) : path;
}

function firstSegment(path: string): string {
  const end = path.indexOf("/", 1);
  return end === -1 ? path.slice(1) : path.slice(1, end);
}

function createNode(): Node {
  return { children: new Map(), parameter: undefined, operations: new Map() };
}

function insert(root: Node, operation: Operation): void {
  let node = root;
  for (const segment of operation.path.split("/").filter(Boolean)) {
    const name = /^\{([a-zA-Z]+)\}$/.exec(segment)?.[1];
    node = name === undefined ? literalChild(node, segment) : parameterChild(node, name, operation.path);
  }
  if (node.operations.has(operation.method)) throw new Error(`two operations for ${operation.method} ${operation.path}`);
  node.operations.set(operation.method, operation);
}

function literalChild(node: Node, segment: string): Node {
  const child = node.children.get(segment) ?? createNode();
  node.children.set(segment, child);
  return child;
}

function parameterChild(node: Node, name: string, path: string): Node {
  node.parameter ??= { name, node: createNode() };
  if (node.parameter.name !== name) throw new Error(`${path} calls a segment {${name}} that another path calls {${node.parameter.name}}`);
  return node.parameter.node;
}

function walk(root: Node, segments: readonly string[], params: Record<string, string>): Node | undefined {
  let node: Node | undefined = root;
  for (const segment of segments) {
    const literal: Node | undefined = node.children.get(segment);
    if (!literal && node.parameter) params[node.parameter.name] = segment;
    node = literal ?? node.parameter?.node;
    if (!node) return undefined;
  }
  return node;
}

function notAllowed(node: Node): Fault {
  const allow = [...node.operations.keys()].flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method])).join(", ");
  return new Fault("method_not_allowed", `allowed: ${allow}`, { public: { headers: { allow } } });
}
