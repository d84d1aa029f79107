import { createHash } from "node:crypto";

/** A program for Redis, which runs as one step. */
export interface RedisScript {
  readonly sha: string;
  readonly text: string;
}

/** Redis's own time in milliseconds, with microseconds behind the point: gateways need not agree about theirs. */
const TIME = `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
`;

/** Same rule as \`grantOf\`. */
const GRANT = `
local function grant(left, need, want, gateways)
  local spare = math.floor(math.max(0, left - need) / (2 * gateways))
  return math.max(0, math.min(left, math.max(need, math.min(want, need + spare))))
end
`;

/** A value of another type than ours counts as none. */
const READ = `
local function read(...)
  local found = redis.pcall('HMGET', KEYS[1], ...)
  if not found.err then return found end
  redis.call('DEL', KEYS[1])
  return {}
end
local function number(value) return tonumber(value or '') end
`;

/**
 * Fields: i id of the window, o that of the one before, s its start, u used, b used in the one before. It is kept for two windows, so that
 * a question that was under way when the window ended is not taken for one about a window that was forgotten.
 */
export const WINDOW = toScript(`${TIME}${GRANT}${READ}
local count, window, sliding = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == 'sliding'
local known, left_ms, held = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local debt, unused, need, want, gateways = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
local found = read('i', 'o', 's', 'u', 'b')
local id, old, start = found[1] or '', found[2] or '', number(found[3])
local used, before = number(found[4]) or 0, number(found[5]) or 0
local fresh = time[1] .. '.' .. time[2]
if start == nil or id == '' then
  id, old, used, before = fresh, '', 0, 0
  start = now
  if known ~= '' then start = now - math.max(0, window - left_ms) end
end
if start > now then start = now end
local elapsed = now - start
if elapsed >= window then
  old, id = id, fresh
  if sliding and elapsed < 2 * window then
    before, start = used, start + window
  else
    before, start = 0, now
  end
  used = 0
end
local turned = known ~= '' and known == old
if known == id then
  used = math.max(0, used + debt - unused)
elseif turned then
  before = before + debt
elseif known == '' then
  used = used + debt
else
  used = used + debt + held - unused
end
elapsed = now - start
local view = used
if sliding then view = used + before * (1 - elapsed / window) end
local granted = 0
if want > 0 then granted = grant(math.max(0, math.floor(count - view + 1e-9)), need, want, gateways) end
used = used + granted
redis.call('HSET', KEYS[1], 'i', id, 'o', old, 's', string.format('%.3f', start), 'u', string.format('%.14g', used), 'b', string.format('%.14g', before))
redis.call('PEXPIRE', KEYS[1], math.ceil(2 * window))
return { id, turned and 1 or 0, string.format('%.14g', granted), string.format('%.14g', used), string.format('%.14g', before), string.format('%.3f', elapsed) }
`);

/** Fields: x the excess, t when it was so high. */
export const BUCKET = toScript(`${TIME}${GRANT}${READ}
local rate, burst, debt = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local need, want, gateways = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local found = read('x', 't')
local excess, at = number(found[1]) or -1, number(found[2]) or now
if at > now then at = now end
local first = math.max(math.min(excess, burst) - (now - at) * rate / 1000 + 1, 0) + debt
local granted = grant(math.max(0, math.floor(burst - first + 1e-9) + 1), need, want, gateways)
if granted + debt > 0 then
  excess = first + granted - 1
  redis.call('HSET', KEYS[1], 'x', string.format('%.14g', excess), 't', string.format('%.3f', now))
  redis.call('PEXPIRE', KEYS[1], math.ceil((excess + 1) / rate * 1000) + 1000)
end
return { string.format('%.14g', granted), string.format('%.14g', first) }
`);

/** One field for each gateway: its places and until when they are its own. */
export const SLOTS = toScript(`${TIME}
local me, max, held, want, life = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local found = redis.pcall('HGETALL', KEYS[1])
if found.err then
  redis.call('DEL', KEYS[1])
  found = {}
end
local others = 0
for at = 1, #found, 2 do
  if found[at] ~= me then
    local count, till = string.match(found[at + 1], '^(%d+):(%d+)$')
    if count and tonumber(till) > now then
      others = others + tonumber(count)
    else
      redis.call('HDEL', KEYS[1], found[at])
    end
  end
end
local granted = math.max(held, math.min(want, max - others))
if granted > 0 then
  redis.call('HSET', KEYS[1], me, string.format('%d:%.0f', granted, now + life))
  redis.call('PEXPIRE', KEYS[1], life)
else
  redis.call('HDEL', KEYS[1], me)
end
return { granted, others }
`);

/** The gateways that were heard of lately, by when; gives how many. A life of 0 takes leave. */
export const GATEWAYS = toScript(`${TIME}
local me, life = ARGV[1], tonumber(ARGV[2])
if redis.call('TYPE', KEYS[1]).ok ~= 'zset' then redis.call('DEL', KEYS[1]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if life > 0 then
  redis.call('ZADD', KEYS[1], now + life, me)
else
  redis.call('ZREM', KEYS[1], me)
end
return redis.call('ZCARD', KEYS[1])
`);

function toScript(text: string): RedisScript {
  return { text, sha: createHash("sha1").update(text).digest("hex") };
}
