-- Trims the stream, but never an entry that any of its groups still needs. KEYS[1] stream;
-- ARGV[1] most entries or '', ARGV[2] longest age in ms or '', ARGV[3] most entries to delete in one call.
-- Whole nodes go, never more than was asked for (XTRIM with ~ and LIMIT), so some entries stay beyond the bound.
-- Answers { deleted, the group that holds the floor where it blocks or '', its floor }.
local NODE_SLACK, AGE_SLACK_MS = 200, 60000
local floor, holder
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local facts = {}
  for i = 1, #group, 2 do
    facts[group[i]] = group[i + 1]
  end
  local needs = facts['last-delivered-id']
  local pending = redis.call('XPENDING', KEYS[1], facts.name)
  if pending[1] > 0 and id_less(pending[2], needs) then
    needs = pending[2]
  end
  if not floor or id_less(needs, floor) then
    floor, holder = needs, facts.name
  end
end
if not floor then
  return { 0, '', '' }
end
local deleted, blocked = 0, false
local limit = tonumber(ARGV[3])
if ARGV[1] ~= '' then
  local excess = redis.call('XLEN', KEYS[1]) - tonumber(ARGV[1])
  if excess > 0 then
    local gone = redis.call('XTRIM', KEYS[1], 'MINID', '~', floor, 'LIMIT', math.min(excess, limit))
    deleted = deleted + gone
    blocked = blocked or (gone == 0 and excess > NODE_SLACK)
  end
end
if ARGV[2] ~= '' then
  local now = redis.call('TIME')
  local oldest_ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000) - tonumber(ARGV[2])
  local oldest = string.format('%.0f-0', math.max(oldest_ms, 0))
  local below = oldest
  if id_less(floor, oldest) then
    below = floor
  end
  local gone = redis.call('XTRIM', KEYS[1], 'MINID', '~', below, 'LIMIT', limit)
  deleted = deleted + gone
  local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
  local late = string.format('%.0f-0', math.max(oldest_ms - AGE_SLACK_MS, 0))
  blocked = blocked or (gone == 0 and first[1] ~= nil and id_less(first[1][1], late) and id_less(floor, oldest))
end
if blocked then
  return { deleted, holder, floor }
end
return { deleted, '', '' }
