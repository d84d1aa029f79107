import type { Clock } from "../../../kernel/index.ts";
import type { Call, CallObjects } from "../../proxy/plugin.ts";
import { decodeArgument } from "../../routing/query-arguments.ts";

/** What a policy is told besides the request. */
export interface InputSettings {
  readonly with_route: boolean;
  readonly with_service: boolean;
  readonly with_consumer: boolean;
}

/** What a policy decides by: the request, its address and time, and the objects that the settings name. */
export function inputOf(call: Call, settings: InputSettings, clock: Clock): Readonly<Record<string, unknown>> {
  const { route, service, consumer }: CallObjects =
    settings.with_route || settings.with_service || settings.with_consumer ? call.objects() : {};
  return {
    type: "http",
    request: {
      scheme: call.variable("scheme"),
      method: call.head.method,
      host: call.variable("host"),
      port: call.head.localPort,
      path: call.path,
      headers: headersOf(call),
      query: queryOf(call.head.target.query),
    },
    var: {
      server_addr: call.head.localAddress,
      server_port: String(call.head.localPort),
      remote_addr: call.variable("remote_addr"),
      remote_port: String(call.head.remotePort),
      timestamp: Math.floor(clock.now() / 1000),
    },
    ...(settings.with_route && { route }),
    ...(settings.with_consumer && { consumer }),
    ...(settings.with_service && { service }),
  };
}

/** By name in lower case; a list where a field came more than once. */
function headersOf({ head }: Call): Readonly<Record<string, string | string[]>> {
  return grouped(head.headers.fields.map(([name, value]) => [name.toLowerCase(), value]));
}

/** By name; true for one without a value, a list for one that came more than once. */
function queryOf(query: string): Readonly<Record<string, unknown>> {
  const pairs = query.split("&").filter((pair) => pair !== "");
  return grouped(
    pairs.map((pair): readonly [string, string | true] => {
      const mark = pair.indexOf("=");
      return mark === -1 ? [decodeArgument(pair), true] : [decodeArgument(pair.slice(0, mark)), decodeArgument(pair.slice(mark + 1))];
    }),
  );
}

function grouped<T>(pairs: readonly (readonly [name: string, value: T])[]): Record<string, T | T[]> {
  const lists = Map.groupBy(pairs, ([name]) => name);
  const entries = [...lists].map(([name, list]): [string, T | T[]] => {
    const values = list.map(([, value]) => value);
    const [only] = values;
    return [name, values.length === 1 && only !== undefined ? only : values];
  });
  return Object.fromEntries(entries); // own properties whatever they are called
}
