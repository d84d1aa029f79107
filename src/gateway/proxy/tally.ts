import type { Registry } from "prom-client";

/** The name of a metric, what it says, and the names of its labels. */
export interface TallyOptions {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
}

/** A number that only grows; adding to it is one addition, which a labelled counter of the metrics library is not. */
export interface Tally {
  count: number;
}

/** Durations in buckets. */
export interface Durations {
  observe(seconds: number): void;
}

/** Counters by label values: the values are looked up once, what is counted often keeps its tally. */
export function createTallies(registry: Registry, options: TallyOptions): (...labels: readonly string[]) => Tally {
  const known = new Map<string, { readonly labels: readonly string[]; readonly tally: Tally }>();
  register(registry, options, "counter", () =>
    [...known.values()].map(({ labels, tally }) => ({ labels: named(options.labelNames, labels), value: tally.count })),
  );
  return (...labels) => of(known, labels, () => ({ labels, tally: { count: 0 } })).tally;
}

/** Histograms by label values, with these upper bounds in seconds, in rising order. */
export function createDurations(
  registry: Registry,
  options: TallyOptions,
  bounds: readonly number[],
): (...labels: readonly string[]) => Durations {
  const known = new Map<string, BoundedDurations>();
  register(registry, options, "histogram", () =>
    [...known.values()].flatMap((durations) => durations.values(options.name, named(options.labelNames, durations.labels))),
  );
  return (...labels) => of(known, labels, () => new BoundedDurations(labels, bounds));
}

/** What a value of a label is told as when there are too many. */
export const OTHER = "other";

/** Tells at most so many values of a label apart: the first that come keep theirs, what comes later is {@link OTHER}. */
export function createLabel(valuesMax: number): (value: string) => string {
  const known = new Set<string>();
  return (value) => {
    if (known.has(value)) return value;
    if (known.size >= valuesMax) return OTHER;
    known.add(value);
    return value;
  };
}

class BoundedDurations implements Durations {
  readonly labels: readonly string[];
  readonly #bounds: readonly number[];
  readonly #counts: Float64Array;
  #sum = 0;
  #total = 0;

  constructor(labels: readonly string[], bounds: readonly number[]) {
    this.labels = labels;
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length);
  }

  observe(seconds: number): void {
    this.#sum += seconds;
    this.#total++;
    // most are in one of the first: walking is quicker than halving
    for (let i = 0; i < this.#bounds.length; i++) {
      if (seconds > (this.#bounds[i] ?? 0)) continue;
      this.#counts[i] = (this.#counts[i] ?? 0) + 1;
      return;
    }
  }

  values(name: string, labels: Readonly<Record<string, string>>): readonly object[] {
    let below = 0;
    const buckets = this.#bounds.map((bound, at) => {
      below += this.#counts[at] ?? 0;
      return { metricName: `${name}_bucket`, labels: { le: bound, ...labels }, value: below };
    });
    return [
      ...buckets,
      { metricName: `${name}_bucket`, labels: { le: "+Inf", ...labels }, value: this.#total },
      { metricName: `${name}_sum`, labels, value: this.#sum },
      { metricName: `${name}_count`, labels, value: this.#total },
    ];
  }
}

/** A metric that the library asks for its values when it is read. */
function register(registry: Registry, { name, help }: TallyOptions, type: string, values: () => readonly object[]): void {
  const metric = {
    name,
    help,
    type,
    aggregator: "sum",
    collect: undefined,
    reset: () => {},
    get: async () => ({ name, help, type, aggregator: "sum", values: values() }),
  };
  // the library only reads these members, and has no type for a metric that is not one of its own
  registry.registerMetric(metric as unknown as Parameters<Registry["registerMetric"]>[0]);
}

function of<T>(known: Map<string, T>, labels: readonly string[], make: () => T): T {
  const key = labels.length === 1 ? (labels[0] ?? "") : JSON.stringify(labels);
  const found = known.get(key);
  if (found) return found;
  const made = make();
  known.set(key, made);
  return made;
}

function named(names: readonly string[], values: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name, at) => [name, values[at] ?? ""]));
}
