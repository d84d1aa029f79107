import { Fault } from "../kernel/index.ts";
import type { Place } from "./places.ts";
import type { ModelRequest, ProviderRequest } from "./request.ts";
import { protocolAt } from "./settings/catalogue.ts";
import type { Translation } from "./translation/translation.ts";

/** One place that a request can be sent to, and what is sent there. */
export interface Sending {
  readonly place: Place;
  /** In the protocol of the provider. */
  readonly request: ProviderRequest;
  /** Undefined where the provider speaks the caller's protocol. */
  readonly translation: Translation | undefined;
}

/** What is sent to each of the places; ids of what the platform's account keeps are opened where it goes there. Those that the request cannot be said to are left out; when none is left, the first one's reason is thrown. */
export async function sendingsFor(
  request: ModelRequest,
  places: readonly Place[],
  openIds: (request: ModelRequest) => ModelRequest,
): Promise<readonly Sending[]> {
  const made = await Promise.allSettled(places.map((place) => sendingFor(request, place, openIds)));
  const open = made.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const [first] = made;
  if (open.length === 0 && first?.status === "rejected") throw first.reason;
  return open;
}

async function sendingFor(came: ModelRequest, place: Place, openIds: (request: ModelRequest) => ModelRequest): Promise<Sending> {
  const { model } = place.target;
  const to = protocolAt(model.provider, came.protocol.name);
  if (to === undefined) throw new Fault("internal", "a target that speaks nothing was chosen");
  if (to === came.protocol.name) return { place, request: model.owner === "platform" ? openIds(came) : came, translation: undefined };
  // nobody pays for it who does not need it
  const { translate } = await import("./translation/translation.ts");
  const translation = await translate(came, to, model, came.outputMax ?? model.settings.outputTokensMax);
  return { place, request: translation.request, translation };
}
