import { type Clock, Fault, type Json, type Platform, type Tenant } from "../../kernel/index.ts";
import type { EventConsumer } from "../../stores/events/index.ts";
import type { TenantScope } from "../../stores/index.ts";
import type { Egress } from "../../wire/index.ts";
import type { ChannelLeases, Installation, Installations } from "../../tenancy/registry/index.ts";
import type { Invoker } from "../invoker.ts";
import { answerMessages, sendReplies } from "./answering.ts";
import type { Acknowledgement, Channel, Delivery } from "./channel.ts";
import { type DeliveryState, readState } from "./deliveries.ts";
import { createDiscordChannel, type DiscordAddresses } from "./discord.ts";
import { createPlatformApi, type PlatformApi } from "./platform-api.ts";
import { Receiver, type ReceivingPorts, type Source } from "./receive.ts";
import { createSlackChannel, type SlackAddresses } from "./slack.ts";
import { createSlackInstalls, type SlackInstalls } from "./slack-installs.ts";
import { createSocketKeeper, type SocketKeeper } from "./sockets/keeper.ts";
import { assertWebEnabled, changedWebSettings, webInstallation, type WebPage, webSettings } from "./web.ts";

/** Platforms that deliver what is written there. */
export const CHAT_PLATFORMS = ["slack", "discord"] as const;

/** What a tenant gives to make an installation. */
export interface InstallationRequest {
  readonly platform: Platform;
  readonly name: string;
  /** The platform's own, secrets among them. */
  readonly given: Readonly<Record<string, Json>>;
  readonly createdBy: string;
}

/** What a tenant changes of an installation: what is not named stays. */
export interface InstallationChanges {
  readonly name: string | undefined;
  /** Of a website alone; null stands for the default. */
  readonly given: Readonly<Record<string, Json>> | undefined;
}

/** A message of our own, on its way or at its end. */
export interface TestRun {
  readonly deliveryId: string;
  /** Whether it was signed as the platform signs; where the platform alone can, it began behind the signature. */
  readonly signed: boolean;
  /** Undefined when it was not put down: the conversation had too many messages. */
  readonly outcome: DeliveryState | undefined;
}

/** What channels are built from. */
export interface ChannelPorts extends Omit<ReceivingPorts, "installations"> {
  readonly installations: Installations;
  readonly leases: ChannelLeases;
  /** Told of what nobody else can be told of. */
  readonly report: (fault: Fault) => void;
  readonly invoker: Invoker;
  readonly egress: Egress;
  /** Where browsers reach this gateway; undefined where nobody has said. */
  readonly publicUrl: string | undefined;
  readonly addresses: { readonly slack: SlackAddresses; readonly discord: DiscordAddresses };
}

/** The chat platforms of all tenants. */
export interface Channels {
  /** Installing Slack apps by OAuth. */
  readonly slackInstalls: SlackInstalls;
  /** Takes a delivery, as {@link Receiver.receive} does. */
  receive(platform: Platform, installation: string, delivery: Delivery, source: Source): Promise<Acknowledgement>;
  /** Makes an installation of what the platform itself says of the given secrets. Throws `invalid_settings`, `conflict`. */
  add(tenant: Tenant, request: InstallationRequest): Promise<Installation>;
  /** Changes the tenant's installation, at every process within a second. Throws `not_found`, `invalid_settings`, `conflict`. */
  change(tenant: Tenant, id: string, changes: InstallationChanges): Promise<Installation>;
  /** The page of a website's visitors. Throws `not_found`, `forbidden` where the tenant's web channel is off, and as `receive` does. */
  page(id: string): Promise<WebPage>;
  /** The tenant's installation, or `not_found`. */
  find(tenant: Tenant, id: string): Promise<Installation>;
  /** Sends a message of our own through the whole of it, and waits for its end, at most so long. */
  test(tenant: Tenant, id: string, message: { readonly to: string; readonly text: string }, waitMs: number): Promise<TestRun>;
  /** What handles the messages that were put down, for a worker of their own. */
  readonly consumers: readonly EventConsumer[];
  /** The connections of apps that are reached over one. */
  readonly sockets: SocketKeeper;
  /** Gives up what is under way: another process takes it on. */
  leave(): void;
}

/** In hexadecimal digits, since a command line takes what begins with a hyphen for an option. */
const ID_BYTES = 11;
const LOOK_EVERY_MS = 100;
const FINAL: ReadonlySet<string> = new Set(["sent", "failed"]);

/** Channels over these ports. */
export function createChannels(ports: ChannelPorts): Channels {
  const { installations, stores, random, clock } = ports;
  const api = createPlatformApi(ports.egress);
  const channels = channelsOf(api, ports.addresses);
  const receiver = new Receiver(ports, channels);
  const leaving = new AbortController();
  const channelOf = (platform: Platform): Channel => {
    const channel = channels.get(platform);
    if (channel) return channel;
    throw new Fault("invalid_settings", `nothing is sent by ${platform}`, {
      public: { detail: "A website has nothing to test: open it." },
    });
  };

  async function find({ uuid }: Tenant, id: string): Promise<Installation> {
    const found = await installations.find(id);
    if (!found || found.tenantUuid !== uuid) throw new Fault("not_found", "no such channel");
    return found;
  }

  async function add(tenant: Tenant, { platform, name, given, createdBy }: InstallationRequest): Promise<Installation> {
    const id = random.bytes(ID_BYTES).toString("hex");
    const proved = platform === "web" ? webInstallation(id, given) : await channelOf(platform).prove(tenant, given);
    return await installations.add({ id, tenant, platform, name, createdBy, ...proved });
  }

  const slackInstalls = createSlackInstalls({
    ...ports,
    receiver,
    api,
    addresses: ports.addresses.slack,
    add: (tenant, { given, ...who }) => add(tenant, { platform: "slack", given, ...who }),
  });

  return {
    add,
    slackInstalls,
    receive: (platform, id, delivery, source) => receiver.receive(platform, id, delivery, source),
    find,
    async change(tenant, id, { name, given }) {
      const known = await find(tenant, id);
      const settings = given ? changedWebSettings(known, given) : known.settings;
      return await installations.change(known, { name: name ?? known.name, settings });
    },
    async page(id) {
      const installation = await installations.find(id);
      if (installation?.platform !== "web") throw new Fault("not_found", "no such page");
      const tenant = await receiver.admit(installation);
      assertWebEnabled(tenant);
      return { tenant, installation, settings: webSettings.parse(installation.settings) };
    },
    async test(tenant, id, { to, text }, waitMs) {
      const installation = await receiver.open(await find(tenant, id));
      const source = receiver.ownSource("test");
      const sample = channelOf(installation.platform).sample(installation, to, text, { nowMs: clock.now(), id: source.requestId });
      if (sample.signed) await receiver.receive(installation.platform, id, sample.delivery, source);
      else await receiver.take(installation, sample.reading, source);
      const deliveryId = sample.signed ? `event:${source.requestId}` : sample.reading.message.deliveryId;
      const scope = stores.scope(receiver.contextFor(tenant, installation, source.requestId));
      return { deliveryId, signed: sample.signed, outcome: await endOf(scope, clock, { id, deliveryId }, waitMs) };
    },
    consumers: [answerMessages({ ...ports, channels }), sendReplies({ ...ports, channels })].map((consumer) => ({
      ...consumer,
      handle: (event, context, signal) => consumer.handle(event, context, AbortSignal.any([signal, leaving.signal])),
    })),
    sockets: createSocketKeeper({ ...ports, channels, receiver }),
    leave: () => leaving.abort(new Fault("dependency_unavailable", "this process is ending")),
  };
}

function channelsOf(api: PlatformApi, { slack, discord }: ChannelPorts["addresses"]): ReadonlyMap<Platform, Channel> {
  return new Map([createSlackChannel(api, slack), createDiscordChannel(api, discord)].map((channel) => [channel.platform, channel]));
}

/** How a delivery ended, or how far it has come when the time is over. */
async function endOf(
  scope: TenantScope,
  clock: Clock,
  { id, deliveryId }: { readonly id: string; readonly deliveryId: string },
  waitMs: number,
): Promise<DeliveryState | undefined> {
  const endMs = clock.monotonic() + waitMs;
  for (;;) {
    const state = await readState(scope, id, deliveryId);
    if (!state || FINAL.has(state.state) || clock.monotonic() > endMs) return state;
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}
