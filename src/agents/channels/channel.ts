import type { Clock, Json, Platform, Random, StoreTenant } from "../../kernel/index.ts";
import type { OwnWebSocket } from "../../wire/index.ts";
import type { Installation } from "../../tenancy/registry/index.ts";

/** What arrived at the address of an installation. */
export interface Delivery {
  /** All values of a header field. */
  header(name: string): readonly string[];
  readonly body: Uint8Array;
}

/** An installation with its secrets, for as long as one delivery or reply takes. */
export interface OpenInstallation extends Installation {
  readonly secrets: Readonly<Record<string, string>>;
}

/** What the platform gets for a delivery. Its status is always 200. */
export type Acknowledgement = { readonly [name: string]: Json } | undefined;

/** One message of one person, read out of a delivery that was proved. */
export interface ChannelMessage {
  /** The platform's own name of this delivery; the same each time it comes. */
  readonly deliveryId: string;
  /** What makes a conversation on this platform, part by part. */
  readonly conversation: readonly string[];
  /** Who speaks, as the platform names it, workspace included. */
  readonly sender: string;
  readonly text: string;
  /** Where the answer goes. It is sealed before it is put down. */
  readonly address: { readonly [name: string]: Json };
  /** What the agent is told besides. Nothing that opens anything. */
  readonly metadata: { readonly [name: string]: Json };
}

/** What a delivery turned out to be. Reading has no effect. */
export type Reading =
  /** It was not signed for this installation, or not now: 401. The reason is for operators. */
  | { readonly kind: "refused"; readonly reason: string }
  /** The platform asks whether somebody is here. */
  | { readonly kind: "greeting"; readonly acknowledgement: Acknowledgement }
  /** Nothing to answer. `audit` where it is somebody's mistake or attempt, and not the course of things. */
  | { readonly kind: "dropped"; readonly reason: string; readonly audit: boolean; readonly acknowledgement: Acknowledgement }
  /** The app was taken out of the workspace. */
  | { readonly kind: "uninstalled" }
  | { readonly kind: "message"; readonly message: ChannelMessage; readonly acknowledgement: Acknowledgement };

/** How a reply ended. `refused`: the platform will never take it. Whatever may go better later is thrown. */
export type ReplyOutcome = { readonly kind: "sent" } | { readonly kind: "refused"; readonly reason: string };

/** What the platform itself says of an app. */
export interface ProvedApp {
  readonly app: string;
  readonly workspace: string;
  readonly settings: Readonly<Record<string, Json>>;
  readonly secrets: Readonly<Record<string, string>>;
}

/** A message of our own making, as far as it can be made: as a delivery that is signed, or read already where the platform alone can sign. */
export type Sample =
  | { readonly signed: true; readonly delivery: Delivery }
  | { readonly signed: false; readonly reading: Extract<Reading, { kind: "message" }> };

/** What a reading can be where nothing has to be signed: over a connection that the platform has admitted with the app's own secret. */
export type AdmittedReading = Exclude<Reading, { kind: "refused" }>;

/** One connection of an installation, for as long as it lasts. */
export interface SocketTurn {
  readonly installation: OpenInstallation;
  /** Which of its connections it is, from 0 on, and how many there are. */
  readonly shard: number;
  readonly shards: number;
  /** Where the platform goes on; what is set is there for the next connection, also in another process. */
  resume: Json | null;
  /** Ends the connection. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly random: Random;
  /** Opens a connection to an address that the platform has named. */
  connect(url: string, messageBytesMax: number): Promise<OwnWebSocket>;
  /** Takes what was read. Throws as {@link Receiver.take} does. */
  take(reading: AdmittedReading): Promise<Acknowledgement>;
  /** The platform wants more connections than there are: this one ends, and so many are opened in its stead. */
  widen(shards: number): Promise<void>;
  /** Waits for the next place in one of the platform's lanes of sessions to begin, among all processes. */
  place(lane: number): Promise<void>;
  /** Told of what cannot be taken now, and goes on. */
  problem(error: unknown): void;
}

/** How a connection ended. `refused`: the platform does not take the app, which somebody has to mend. */
export type SocketEnd = { readonly kind: "again" } | { readonly kind: "refused"; readonly reason: string };

/** One chat platform. An adapter is one small file; it keeps nothing and knows no tenant but the one it is called with. */
export interface Channel {
  readonly platform: Platform;
  /**
   * Asks the platform whose the given secrets are. Throws `invalid_settings` with the field for what does not fit, and what the platform's
   * API throws.
   */
  prove(tenant: StoreTenant, given: Readonly<Record<string, Json>>): Promise<ProvedApp>;
  /** Says what a delivery is. The signature and its time are checked before anything is read. */
  read(delivery: Delivery, installation: OpenInstallation, nowMs: number): Reading;
  /** Sends a reply to an address that `read` has given. Mentions of many people are no mentions. Throws what may go better later. */
  reply(installation: OpenInstallation, address: Json, text: string, signal: AbortSignal): Promise<ReplyOutcome>;
  /**
   * Opens a connection to the platform, takes what comes over it and ends with it. What comes is taken as a delivery is: the connection stands
   * instead of the signature. Throws when the connection is lost.
   */
  speak(turn: SocketTurn): Promise<SocketEnd>;
  /** A message to be sent through the whole of it; the answer goes to `to`, a name of the platform's own. */
  sample(installation: OpenInstallation, to: string, text: string, at: { readonly nowMs: number; readonly id: string }): Sample;
}

/** How far the time in a signature may be from ours. */
const SIGNATURE_WINDOW_MS = 5 * 60_000;

/** Whether a time in whole seconds, as platforms write it, is one and near enough. */
export function isFresh(timestamp: string, nowMs: number): boolean {
  return /^[1-9][0-9]{9}$/.test(timestamp) && Math.abs(nowMs - Number(timestamp) * 1000) <= SIGNATURE_WINDOW_MS;
}

/** The one value of a header field; undefined when it is absent, empty or there twice. */
export function onlyValue(delivery: Delivery, name: string): string | undefined {
  const values = delivery.header(name);
  return values.length === 1 && values[0] !== "" ? values[0] : undefined;
}
