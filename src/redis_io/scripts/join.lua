-- Takes a consumer name. KEYS[1] lease, KEYS[2] registry, KEYS[3] stream;
-- ARGV[1] our lease's value, ARGV[2] its lifetime in ms, ARGV[3] a dead holder's value that may be replaced or '', ARGV[4] name,
-- ARGV[5] group, ARGV[6] a member of the registry that tells that weir has joined this group, ARGV[7] the member that keeps the highest
-- id that was pending before.
local current = redis.call('GET', KEYS[1])
if current and current ~= ARGV[1] and current ~= ARGV[3] then
  return { 'held', current }
end
-- A read that returns nothing creates no consumer, so the name is registered here.
redis.call('XGROUP', 'CREATECONSUMER', KEYS[3], ARGV[5], ARGV[4])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local first = redis.call('HSETNX', KEYS[2], ARGV[6], '1')
if first == 1 then
  local pending = redis.call('XPENDING', KEYS[3], ARGV[5])
  if pending[1] > 0 then
    redis.call('HSET', KEYS[2], ARGV[7], pending[3])
  end
end
redis.call('HSET', KEYS[2], ARGV[4], '1')
return { 'joined', first }
