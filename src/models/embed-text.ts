import { Fault, toFault, uuidV7 } from "../kernel/index.ts";
import type { ModelGateway, ModelGatewayPorts } from "./gateway.ts";
import type { ModelCall } from "./model-call.ts";
import { isFields, parseData } from "./protocols/openai-parts.ts";
import { isVector } from "./similar-answers.ts";

const ANSWER_BYTES_MAX = 256 * 1024;
/** A request does not wait longer to learn whether it has a like. */
const WAIT_MS = 3_000;

/**
 * What a text means, by one of the models that the caller's tenant may use, under its rules, budgets and ledger; undefined when it cannot be had. Throws
 * only when the caller has gone.
 */
export async function embedText(
  gateway: Pick<ModelGateway, "ask">,
  { clock, random, report }: Pick<ModelGatewayPorts, "clock" | "random" | "report">,
  { context, cache, signal }: ModelCall,
  { model, text }: { readonly model: string; readonly text: string },
): Promise<readonly number[] | undefined> {
  const body = Buffer.from(JSON.stringify({ model, input: text, encoding_format: "float" }));
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new Fault("upstream_timeout", `${model} took longer than ${WAIT_MS} ms`)), WAIT_MS);
  try {
    const answer = await gateway.ask("embeddings", {
      context,
      cache,
      body,
      // a request of its own in the ledger
      requestId: uuidV7(clock, random),
      signal: AbortSignal.any([signal, late.signal]),
      bytesMax: ANSWER_BYTES_MAX,
    });
    if (answer.status !== 200) return undefined;
    const data = parseData(Buffer.from(answer.body).toString("utf8"))?.["data"];
    const first: unknown = Array.isArray(data) ? data[0] : undefined;
    return isFields(first) && isVector(first["embedding"]) ? first["embedding"] : undefined;
  } catch (error) {
    signal.throwIfAborted();
    const fault = toFault(error);
    if (fault.status >= 500) report(fault);
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}
