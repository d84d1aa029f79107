import { toFault } from "../../../kernel/index.ts";
import { type ModelGateway, NAMING_FIELD, type Passage, type PassedTarget, PROTOCOLS, withMembers } from "../../../models/index.ts";
import type { Answer } from "../../../wire/index.ts";
import type { Call, ResponseDraft } from "../../proxy/plugin.ts";
import type { Instance } from "./instance.ts";
import type { ClientRequest } from "./request.ts";

/** Sends one request to the instances of a route. */
export interface Sender {
  /** Makes the call one to this instance. */
  apply(instance: Instance): void;
  began(instance: Instance): void;
  /** The try has an answer of this status; 0 is none. */
  answered(status: number): void;
  /** The call is over without an answer of an instance. */
  failed(): void;
  /** An instance's answer, before it goes on. */
  answer(response: ResponseDraft): void;
}

/** The sender of a request; where its tenant is proved, under that tenant's rules for models. Or the answer that refuses it. Throws what is not the caller's fault. */
export async function senderFor(
  call: Call,
  request: ClientRequest,
  instances: readonly Instance[],
  models: Pick<ModelGateway, "attend"> | undefined,
): Promise<Sender | Answer> {
  const { protocol, bytes, members } = request;
  const targets = new Map(instances.map((instance) => [instance, instance.targetFor(request)]));
  const { context, head, requestId } = call;
  if (!context || !models) {
    const bodyFor = (instance: Instance): Uint8Array => withMembers(bytes, members, targets.get(instance)?.put ?? {});
    const nothing = (): void => {};
    return {
      apply: (instance) => instance.apply(call, protocol, bodyFor(instance)),
      began: nothing,
      answered: nothing,
      failed: nothing,
      answer: nothing,
    };
  }
  const { signal } = call.exchange;
  const onEnd: Call["onEnd"] = (listener) => call.onEnd(listener);
  try {
    const passage = await models.attend(protocol, { context, head, body: bytes, requestId, signal, onEnd }, [...targets.values()]);
    return attended(call, request, passage, targets);
  } catch (error) {
    const fault = toFault(error);
    if (fault.status >= 500) throw fault;
    return PROTOCOLS[protocol].refusal(fault, requestId);
  }
}

function attended(call: Call, { protocol }: ClientRequest, passage: Passage, targets: ReadonlyMap<Instance, PassedTarget>): Sender {
  return {
    apply(instance) {
      const target = targets.get(instance);
      if (!target) return;
      instance.apply(call, protocol, passage.bodyFor(target));
      const { headers } = call.upstream;
      const name = passage.fieldFor(NAMING_FIELD, target);
      if (name !== undefined && headers.get(NAMING_FIELD) !== undefined) headers.set(NAMING_FIELD, name);
    },
    began(instance) {
      const target = targets.get(instance);
      if (target) passage.began(target);
    },
    answered: (status) => passage.answered(status),
    failed: () => passage.failed(),
    answer(response) {
      const plan = passage.answer({ all: (name) => [response.headers.get(name) ?? []].flat() });
      if (plan) response.goesBy(plan);
    },
  };
}
