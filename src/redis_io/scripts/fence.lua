-- KEYS[1] stream, KEYS[2] our lease; ARGV[1] group, ARGV[2] consumer, ARGV[3] our lease's value.
local function holds_lease()
  return redis.call('GET', KEYS[2]) == ARGV[3]
end

-- 'ours'; 'other': somebody else's, or settled; 'gone': neither pending nor in the stream, so that nobody else can ever get it.
local function standing(id)
  local found = redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1)
  if found[1] == nil then
    if #redis.call('XRANGE', KEYS[1], id, id) == 0 then
      return 'gone'
    end
    return 'other'
  end
  if found[1][2] == ARGV[2] then
    return 'ours'
  end
  return 'other'
end

-- Answers per id: 1 done, 2 not ours, 3 gone from the stream (Redis 7 drops it from the pending list here).
local function claim(id, ...)
  local state = standing(id)
  if state == 'other' then
    return 2
  elseif state == 'gone' then
    return 3
  end
  local claimed = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id, ...)
  if #claimed == 1 then
    return 1
  end
  return 3
end
