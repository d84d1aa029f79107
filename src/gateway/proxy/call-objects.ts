import type { GatewayDocument } from "../dialect/objects.ts";
import type { CallObjects } from "./plugin.ts";
import type { ProxyCall } from "./call.ts";

/** What the document says of the call's route, service and consumer. */
export function objectsOf(call: ProxyCall, document: GatewayDocument): CallObjects {
  const { compiled, consumer, attached, profile } = call;
  const service = compiled?.facts.serviceId === undefined ? undefined : document.services.get(compiled.facts.serviceId);
  const settings = consumer && document.consumers.get(consumer.username);
  const shown = (object: object | undefined, more?: object): Readonly<Record<string, unknown>> | undefined => {
    if (!object) return undefined;
    const { upstream: _upstream, credentials: _credentials, plugins, ...rest } = object as Readonly<Record<string, unknown>>; // any object has names
    return profile === "strict" ? rest : { ...rest, ...(plugins !== undefined && { plugins }), ...more };
  };
  return {
    route: shown(compiled?.settings),
    service: shown(service),
    consumer: shown(settings, { consumer_name: consumer?.username, auth_conf: attached?.settings }),
  };
}
