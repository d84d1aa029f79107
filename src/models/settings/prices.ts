import type { TokenUsage } from "../meter/usage.ts";
import type { PriceSettings } from "./schema.ts";

/** Money is whole billionths of the currency's unit, so that sums are exact. */
export const NANO = 1_000_000_000;
const NANO_PER_MILLION = 1_000;
const ROUNDING = 1e-6;
const DAY_MS = 86_400_000;

/** The price that holds on the day of this time (UTC), or undefined where none does. */
export function priceAt(prices: readonly PriceSettings[], nowMs: number): PriceSettings | undefined {
  const day = dayAt(nowMs);
  let best: PriceSettings | undefined;
  for (const each of prices) if (each.from <= day && (!best || each.from > best.from)) best = each;
  return best;
}

/** The day that was asked for last: to write one takes longer than everything else about a price. */
let lastDay = { number: Number.NaN, text: "" };

function dayAt(nowMs: number): string {
  const number = Math.floor(nowMs / DAY_MS);
  if (number !== lastDay.number) lastDay = { number, text: new Date(nowMs).toISOString().slice(0, 10) };
  return lastDay.text;
}

/** What this use costs, in billionths, rounded up. A prompt over the bound of a long one pays the long price for everything. */
export function costOf(price: PriceSettings, usage: TokenUsage): number {
  const { input, output, cachedInput, cacheWrite, request } = price.long && usage.input > price.long.over ? price.long : price;
  const plain = usage.input - usage.cachedInput - usage.cacheWrite;
  const millionths =
    plain * input + usage.cachedInput * (cachedInput ?? input) + usage.cacheWrite * (cacheWrite ?? input) + usage.output * output;
  return Math.ceil(millionths * NANO_PER_MILLION + request * NANO - ROUNDING);
}

/** The most that so many tokens can cost: with every token at its dearest. */
export function worstCostOf(price: PriceSettings, inputTokens: number, outputTokens: number): number {
  const costs = (price.long ? [price, price.long] : [price]).map(({ input, output, cacheWrite, request }) =>
    Math.ceil((inputTokens * Math.max(input, cacheWrite ?? 0) + outputTokens * output) * NANO_PER_MILLION + request * NANO - ROUNDING),
  );
  return Math.max(...costs);
}

/** How many tokens of the answer can be paid with so much, after a prompt of so many tokens; never negative. */
export function outputFor(price: PriceSettings, inputTokens: number, nano: number): number {
  const left = nano - worstCostOf(price, inputTokens, 0);
  const dearest = Math.max(price.output, price.long?.output ?? 0) * NANO_PER_MILLION;
  return left < 0 ? 0 : dearest === 0 ? Number.MAX_SAFE_INTEGER : Math.floor(left / dearest);
}
