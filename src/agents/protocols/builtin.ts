import { answerWithTools, type ToolLoopPorts } from "../tools/tool-loop.ts";
import { bestSentences, type Quote } from "./best-sentences.ts";
import { type SearchPassages, toCitation } from "./passages.ts";
import { cutText } from "./sentences.ts";
import type { AnswerPiece, Invocation, Plan, Protocol } from "./protocol.ts";

/** Passages that an answer is chosen from. */
const PASSAGES_MAX = 8;
/** Characters of a message that are searched for. */
const QUESTION_CHARACTERS_MAX = 4_000;

/** What the built-in agent says when the tenant's documents do not answer. */
export const NOTHING_FOUND = "I found nothing about this in your documents. Add documents with POST /documents, then ask again.";

/**
 * The agent that needs no model and no network: it answers with up to three sentences of the tenant's own documents, each with the
 * number of the passage it comes from. The same question over the same passages always gives the same answer. It says nothing that the
 * search did not return for this very context, and obeys nothing that a document or a message says. Where the tenant names one of its models,
 * the model answers, with tools.
 */
export function createBuiltinProtocol(ports: ToolLoopPorts): Protocol {
  return {
    plan(invocation) {
      const { model } = invocation.context.tenant.agentConfig;
      const run: Plan["run"] =
        model === null ? () => answer(ports.searchPassages, invocation) : (signal) => answerWithTools(ports, invocation, model, signal);
      return { origin: undefined, run };
    },
  };
}

async function* answer(search: SearchPassages, { context, message }: Invocation): AsyncGenerator<AnswerPiece, void, void> {
  const question = cutText(message.text, QUESTION_CHARACTERS_MAX);
  const found = await search(context, question, PASSAGES_MAX);
  const passages = found.slice(0, PASSAGES_MAX).map(toCitation);
  const quotes = bestSentences(question, passages, context.tenant.locale);
  if (quotes.length === 0) yield { type: "text", text: NOTHING_FOUND };
  else yield* compose(quotes);
}

function* compose(quotes: readonly Quote[]): Generator<AnswerPiece, void, void> {
  const cited = [...new Set(quotes.map((quote) => quote.passage))];
  for (const [at, { sentence, passage }] of quotes.entries()) {
    yield { type: "text", text: `${at === 0 ? "" : " "}${sentence} [${cited.indexOf(passage) + 1}]` };
  }
  const list = cited.map((passage, at) => `[${at + 1}] ${passage.title}`);
  yield { type: "text", text: `\n\n${list.join("\n")}` };
  for (const citation of cited) yield { type: "citation", citation };
}
