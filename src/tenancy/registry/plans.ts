import type { Plan } from "./tenant-settings.ts";

const GIB = 1024 ** 3;
const MIB_PER_S = 1024 ** 2;

/** The plans a new installation begins with. An operator changes them or adds others; a change reaches every tenant of the plan. */
export const DEFAULT_PLANS: readonly Plan[] = [
  {
    name: "starter",
    isolationLevel: "shared",
    quotas: {
      maxUsers: 25,
      maxProjects: 5,
      maxAIRequests: 10_000,
      storageLimit: GIB,
      computeLimit: 3_600_000,
      networkBandwidth: 5 * MIB_PER_S,
    },
    rate: { requestsPerSecond: 50, burst: 100 },
    features: [],
    billing: { currency: "USD", monthlyPriceMinor: 0 },
  },
  {
    name: "professional",
    isolationLevel: "shared",
    quotas: {
      maxUsers: 250,
      maxProjects: 50,
      maxAIRequests: 200_000,
      storageLimit: 50 * GIB,
      computeLimit: 36_000_000,
      networkBandwidth: 50 * MIB_PER_S,
    },
    rate: { requestsPerSecond: 250, burst: 500 },
    features: ["advanced_analytics"],
    billing: { currency: "USD", monthlyPriceMinor: 9_900 },
  },
  {
    name: "enterprise",
    isolationLevel: "dedicated",
    quotas: {
      maxUsers: 10_000,
      maxProjects: 1_000,
      maxAIRequests: 5_000_000,
      storageLimit: 1_000 * GIB,
      computeLimit: 360_000_000,
      networkBandwidth: 500 * MIB_PER_S,
    },
    rate: { requestsPerSecond: 1_000, burst: 2_000 },
    features: ["advanced_analytics", "custom_models"],
    billing: { currency: "USD", monthlyPriceMinor: 99_900 },
  },
];
