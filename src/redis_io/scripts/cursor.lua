-- Remembers the lowest id that the whole group still needs: p:<lowest pending>, or d:<last delivered> when nothing is pending.
-- KEYS[1] stream, KEYS[2] cursor; ARGV[1] group.
local pending = redis.call('XPENDING', KEYS[1], ARGV[1])
local value = false
if pending[1] > 0 then
  value = 'p:' .. pending[2]
else
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    if group[2] == ARGV[1] then
      for i = 1, #group, 2 do
        if group[i] == 'last-delivered-id' then
          value = 'd:' .. group[i + 1]
        end
      end
    end
  end
end
if value then
  redis.call('SET', KEYS[2], value)
end
return value
