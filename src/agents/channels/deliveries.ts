import { type Json, parseJson, type StoreTenant, type TenantContext } from "../../kernel/index.ts";
import { sql } from "../../stores/data/index.ts";
import type { TenantScope } from "../../stores/index.ts";
import type { SealPlace, TenantVault } from "../../stores/vault/index.ts";
import type { ChannelMessage, OpenInstallation } from "./channel.ts";
import { conversationKey } from "./conversations.ts";

/** How far a delivery has come. `problem` is the platform's word for what is wrong, or a code of the error table. */
export interface DeliveryState {
  readonly state: "received" | "answered" | "sent" | "failed";
  readonly problem: string | null;
}

/** A message that waits for its answer, as it stands in the event. */
export interface WaitingMessage {
  readonly installation: string;
  readonly deliveryId: string;
  readonly conversation: string;
  readonly sender: string;
  readonly text: string;
  readonly metadata: { readonly [name: string]: Json };
  /** Sealed for this delivery: it opens for no other. */
  readonly address: string;
}

/** An answer that waits to be sent. */
export type WaitingReply = Pick<WaitingMessage, "installation" | "deliveryId" | "address" | "text">;

/** What is older is forgotten: platforms give up long before, and nothing that old is signed well. */
const KEPT_DAYS = 3;
const FORGET_BATCH = 100;

/**
 * Puts a message down and gives true; or false, when this delivery was put down before, by whichever process. Both the note of the delivery
 * and the event are there, or neither.
 */
export async function putDown(scope: TenantScope, installation: OpenInstallation, message: ChannelMessage): Promise<boolean> {
  const { tenant } = scope.context;
  const { deliveryId, sender, text, metadata } = message;
  const conversation = conversationKey(installation.id, message.conversation);
  // before the transaction: it may ask a key management service
  const address = await sealAddress(scope.vault, installation.id, deliveryId, message.address);
  const waiting: WaitingMessage = { installation: installation.id, deliveryId, conversation, sender, text, metadata, address };
  return await scope.platform.transaction(async (tx) => {
    await tx.query(sql`
      delete from freehold.channel_deliveries where tenant_id = ${tenant.uuid} and (installation, delivery) in (
        select d.installation, d.delivery from freehold.channel_deliveries d
        where d.tenant_id = ${tenant.uuid} and d.received_at < now() - ${KEPT_DAYS}::integer * interval '1 day' limit ${FORGET_BATCH})`);
    const { count } = await tx.query(sql`
      insert into freehold.channel_deliveries (tenant_id, installation, delivery)
      values (${tenant.uuid}, ${installation.id}, ${deliveryId}) on conflict do nothing`);
    if (count === 0) return false;
    await scope.events.publish(tx, {
      topic: "channel.messages",
      type: "channel.message_received",
      key: conversation,
      data: { ...waiting },
    });
    return true;
  });
}

/** Notes how far a delivery has come. */
export async function noteState(
  scope: TenantScope,
  { installation, deliveryId }: Pick<WaitingMessage, "installation" | "deliveryId">,
  state: DeliveryState["state"],
  problem: string | null = null,
): Promise<void> {
  await scope.platform.query(sql`
    update freehold.channel_deliveries set state = ${state}, problem = ${problem}
    where tenant_id = ${scope.context.tenant.uuid} and installation = ${installation} and delivery = ${deliveryId}`);
}

/** How far a delivery has come; undefined when it is not known here. */
export async function readState(scope: TenantScope, installation: string, deliveryId: string): Promise<DeliveryState | undefined> {
  const { rows } = await scope.platform.query<DeliveryState>(sql`
    select state, problem from freehold.channel_deliveries
    where tenant_id = ${scope.context.tenant.uuid} and installation = ${installation} and delivery = ${deliveryId}`);
  return rows[0];
}

/** The place of a reply again. Throws `isolation_violation` when it was sealed for another tenant, installation or delivery. */
export async function openAddress(vault: TenantVault, { installation, deliveryId, address }: WaitingReply): Promise<Json> {
  return parseJson(await vault.open(placeOf(installation, deliveryId), Buffer.from(address, "base64")));
}

/** Whether the installation is of the context's tenant: what comes out of an event has to agree with what is looked up. */
export function isOfTenant(
  { tenantUuid, tenantId }: Pick<OpenInstallation, "tenantUuid" | "tenantId">,
  { tenant }: TenantContext,
): boolean {
  const own: StoreTenant = tenant;
  return tenantUuid === own.uuid && tenantId === own.id;
}

async function sealAddress(
  vault: TenantVault,
  installation: string,
  deliveryId: string,
  address: ChannelMessage["address"],
): Promise<string> {
  const sealed = await vault.seal(placeOf(installation, deliveryId), Buffer.from(JSON.stringify(address), "utf8"));
  return sealed.toString("base64");
}

function placeOf(installation: string, deliveryId: string): SealPlace {
  return { purpose: "secrets", table: "channel_deliveries", column: "address", row: [installation, deliveryId] };
}
