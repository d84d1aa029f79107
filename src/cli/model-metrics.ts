import type { Registry } from "prom-client";
import { createDurations, createLabel, createTallies } from "../gateway/index.ts";
import { type ModelMeasures, NANO } from "../models/index.ts";

/** How many values of a label are told apart. */
export interface ModelMetricBounds {
  readonly tenantsMax: number;
  readonly modelsMax: number;
}

const FIRST_BYTE_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];
/** What all models are called that tenants have brought: their names are theirs, and may not use up those of the platform. */
const OWN = "own";

/** Metrics of models in this registry. Their number is bounded however many tenants there are, and whatever they call their own models. */
export function createModelMetrics(registry: Registry, { tenantsMax, modelsMax }: ModelMetricBounds): ModelMeasures {
  const tallies = (name: string, help: string, ...more: readonly string[]) =>
    createTallies(registry, { name, help, labelNames: ["tenant", "model", ...more] });
  const requests = tallies("freehold_model_requests_total", "Requests to models that are over, by how they ended.", "outcome");
  const retries = tallies("freehold_model_retries_total", "Tries at a model that failed, after which another target was asked.");
  const refusals = tallies("freehold_model_budget_refusals_total", "Requests to models that a budget has refused.");
  const looks = tallies(
    "freehold_model_cache_total",
    "Requests for which the tenant's cache of answers was asked, by its answer.",
    "result",
  );
  const tokens = tallies("freehold_model_tokens_total", "Tokens used; the kinds of the prompt add up to it.", "kind");
  const cost = tallies("freehold_model_cost_total", "What was used costs so much, in the currency of the prices.");
  const firstByte = createDurations(
    registry,
    { name: "freehold_model_first_byte_seconds", help: "Time until the answer of a model began.", labelNames: ["model"] },
    FIRST_BYTE_SECONDS,
  );
  const tenants = createLabel(tenantsMax);
  const models = createLabel(modelsMax);
  const nameOf: (model: Parameters<ModelMeasures["refused"]>[1]) => string = ({ target, owner }) =>
    owner === "tenant" ? OWN : models(target);
  return {
    tried({ id }, { usage, cost: nano = 0, outcome, status, firstByteMs, ...attempt }, isLast) {
      const labels = [tenants(id), nameOf(attempt)] as const;
      if (isLast) requests(...labels, outcome).count++;
      else retries(...labels).count++;
      const { input, cachedInput, cacheWrite, output } = usage;
      const counts = { input: input - cachedInput - cacheWrite, cached_input: cachedInput, cache_write: cacheWrite, output };
      for (const [kind, count] of Object.entries(counts)) if (count > 0) tokens(...labels, kind).count += count;
      if (nano > 0) cost(...labels).count += nano / NANO;
      if (status > 0 && outcome !== "cached") firstByte(labels[1]).observe(firstByteMs / 1_000);
    },
    looked({ id }, model, result) {
      looks(tenants(id), nameOf(model), result).count++;
    },
    refused({ id }, model) {
      refusals(tenants(id), nameOf(model)).count++;
    },
  };
}
