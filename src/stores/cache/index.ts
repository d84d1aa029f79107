export { createMemoryCache, type MemoryCacheBounds } from "./adapters/memory.ts";
export { createRedisCache, type RedisCacheOptions } from "./adapters/redis.ts";
export { RedisConnection } from "./adapters/redis-connection.ts";
export { CACHE_TTL_MS_MAX, createCacheStore } from "./cache-store.ts";
export type { CacheKey, CacheStore, TenantCache } from "./port.ts";
