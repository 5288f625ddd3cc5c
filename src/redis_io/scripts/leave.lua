-- Gives our name back. The consumer goes with its last entry: now, or when the next replica has taken what we handed over.
-- KEYS[1] lease, KEYS[2] registry, KEYS[3] stream; ARGV[1] lease's value, ARGV[2] group, ARGV[3] name. Answers the entries pending.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return -1
end
local pending = 0
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[3], ARGV[2])) do
  local name, count
  for i = 1, #consumer, 2 do
    if consumer[i] == 'name' then
      name = consumer[i + 1]
    elseif consumer[i] == 'pending' then
      count = consumer[i + 1]
    end
  end
  if name == ARGV[3] then
    pending = count
  end
end
if pending == 0 then
  redis.call('XGROUP', 'DELCONSUMER', KEYS[3], ARGV[2], ARGV[3])
  redis.call('HDEL', KEYS[2], ARGV[3])
end
redis.call('DEL', KEYS[1])
return pending
