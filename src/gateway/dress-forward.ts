import type { Answer, Forward, ResponsePlan } from "../wire/index.ts";

/** What the house adds to an answer that something else makes. */
export interface Dress {
  /** An answer of our own, complete with the fields of the house. */
  finish(answer: Answer): Answer;
  /** An upstream's answer begins: the fields of the house for it. */
  begin(status: number): Readonly<Record<string, string>>;
}

/** The same forward with the fields of the house on whatever answer it comes to, over all its tries. */
export function dressForward(forward: Forward, dress: Dress): Forward {
  return {
    ...forward,
    onResponse: (response) => dressPlan(forward.onResponse(response), dress),
    onFailure: (failure) => {
      const next = forward.onFailure(failure);
      return "pool" in next ? dressForward(next, dress) : dress.finish(next);
    },
  };
}

function dressPlan(plan: ResponsePlan, dress: Dress): ResponsePlan {
  switch (plan.kind) {
    case "retry":
      return { ...plan, forward: dressForward(plan.forward, dress) };
    case "replace":
      return { ...plan, answer: dress.finish(plan.answer) };
    case "collect":
      return { ...plan, whole: async (body) => dress.finish(await plan.whole(body)) };
    case "remake":
      return { ...plan, answer: async (body) => dress.finish(await plan.answer(body)) };
    case "pass":
    case "map":
      for (const [name, value] of Object.entries(dress.begin(plan.status))) plan.headers.set(name, value);
      return plan;
    default:
      return plan satisfies never;
  }
}
