-- KEYS[1] stream, KEYS[2] our lease; ARGV[1] group, ARGV[2] consumer, ARGV[3] our lease's value.
local function holds_lease()
  return redis.call('GET', KEYS[2]) == ARGV[3]
end

local function owns(id)
  local found = redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1)
  return found[1] ~= nil and found[1][2] == ARGV[2]
end

-- Answers per id: 1 done, 2 not ours (settled or somebody else's), 3 gone from the stream (Redis 7 drops it from the list here).
local function claim(id, ...)
  if not owns(id) then
    return 2
  end
  local claimed = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id, ...)
  if #claimed == 1 then
    return 1
  end
  return 3
end
