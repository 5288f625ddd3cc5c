-- Takes over entries that nobody works on, or (mode 'own') entries of ours that we do not hold.
-- KEYS[3] registry, KEYS[4] the last move's note; ARGV[4] most entries to take, ARGV[5] idle time in ms that tells an abandoned entry, ARGV[6] mode: all | own,
-- ARGV[7] id to begin at, ARGV[8] idle time that says handed over, ARGV[9] above it: handed over, not due yet,
-- ARGV[10] lease prefix, ARGV[11] idle time after which other software's consumers go, 0 never, ARGV[12] what becomes of
-- entries that were pending before weir first joined the group: handle | dead-letter | leave; ARGV[13] bytes of entries after which none
-- is taken any more; from 14: ids we hold. The registry's member @before is the highest of their ids.
-- Answers { next id or '', taken, ids lost to trimming, consumers removed, the note or '' }; taken: { entry, owner, idle, count, owner is
-- weir's, belongs into the dead-letter stream }.
if not holds_lease() then
  return 'FENCED'
end
local PAGE, PAGES_MAX = 100, 20
local stream, group, me = KEYS[1], ARGV[1], ARGV[2]
local budget, abandoned, own = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == 'own'
local handed_over, waiting = tonumber(ARGV[8]), tonumber(ARGV[9])
local before = redis.call('HGET', KEYS[3], '@before') or ''
local leave, bury = ARGV[12] == 'leave', ARGV[12] == 'dead-letter'
local bytes, bytes_max = 0, tonumber(ARGV[13])
local held = {}
for i = 14, #ARGV do
  held[ARGV[i]] = true
end
local ours = {}
for _, name in ipairs(redis.call('HKEYS', KEYS[3])) do
  ours[name] = true
end
local taken, lost, removed = {}, {}, {}
local note = redis.call('GET', KEYS[4]) or ''

local function is_from_before(id)
  return before ~= '' and not id_less(before, id)
end

local function wanted(id, owner, idle, owner_is_dead)
  if held[id] then
    return false
  end
  if idle >= handed_over then
    return true
  end
  if idle >= waiting then
    return false
  end
  if own then
    return true
  end
  if owner == me then
    -- What we hold is renewed long before: this is ours in name only, and nobody else may be there to take it.
    return idle >= abandoned
  end
  if leave and not ours[owner] and is_from_before(id) then
    return false
  end
  return owner_is_dead or idle >= abandoned
end

local function take(id, owner, idle, count)
  local claimed = redis.call('XCLAIM', stream, group, me, 0, id, 'RETRYCOUNT', count)
  local entry = claimed[1]
  if entry and entry[2] then
    bytes = bytes + bytes_of(entry[2])
    taken[#taken + 1] = { entry, owner, idle, count, ours[owner] and 1 or 0, bury and is_from_before(id) and 1 or 0 }
  else
    redis.call('XACK', stream, group, id)
    lost[#lost + 1] = id
  end
end

-- Goes through one listing page by page; answers where to go on, or '' at its end.
local function walk(begin, owner_is_dead, min_idle, consumer)
  for _ = 1, PAGES_MAX do
    local page
    if consumer then
      page = redis.call('XPENDING', stream, group, begin, '+', PAGE, consumer)
    else
      page = redis.call('XPENDING', stream, group, 'IDLE', min_idle, begin, '+', PAGE)
    end
    for _, row in ipairs(page) do
      local id, owner, idle, count = row[1], row[2], row[3], row[4]
      if #taken + #lost >= budget or bytes >= bytes_max then
        return id
      end
      if wanted(id, owner, idle, owner_is_dead) then
        take(id, owner, idle, count)
      end
    end
    if #page < PAGE then
      return ''
    end
    begin = '(' .. page[#page][1]
  end
  return begin
end

if own then
  local next_id = walk(ARGV[7], true, 0, me)
  return { next_id, taken, lost, removed, note }
end

for name in pairs(ours) do
  if name ~= me and string.sub(name, 1, 1) ~= '@' and redis.call('EXISTS', ARGV[10] .. name) == 0 then
    walk('-', true, 0, name)
    if #redis.call('XPENDING', stream, group, '-', '+', 1, name) == 0 then
      redis.call('XGROUP', 'DELCONSUMER', stream, group, name)
      redis.call('HDEL', KEYS[3], name)
      removed[#removed + 1] = name
    end
  end
end
if ARGV[11] ~= '0' then
  for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
    local facts = {}
    for i = 1, #consumer, 2 do
      facts[consumer[i]] = consumer[i + 1]
    end
    if not ours[facts.name] and facts.pending == 0 and facts.idle >= tonumber(ARGV[11]) then
      redis.call('XGROUP', 'DELCONSUMER', stream, group, facts.name)
      removed[#removed + 1] = facts.name
    end
  end
end
local next_id = walk(ARGV[7], false, abandoned, nil)
return { next_id, taken, lost, removed, note }
