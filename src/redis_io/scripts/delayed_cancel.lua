-- Forgets a delayed event. KEYS[1] sorted set; ARGV[1] due in ms, ARGV[2] id. Answers 1, or 0 when it does not wait (any more).
local place = seek(KEYS[1], ARGV[1], ARGV[2])
local found = redis.call('ZRANGE', KEYS[1], place, place)[1]
if not found or string.sub(found, 1, #ARGV[2]) ~= ARGV[2] then
  return 0
end
return redis.call('ZREM', KEYS[1], found)
