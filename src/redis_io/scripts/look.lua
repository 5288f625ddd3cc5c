-- Looks at stream and group at one moment, and changes nothing. KEYS[1] stream; ARGV[1] group, ARGV[2] most unread entries to count,
-- ARGV[3] bytes of entries after which counting stops.
-- Answers false without the group, else the facts in the order of inspect.rs; ids and counts that Redis does not tell are ''.
local function facts(list)
  local out = {}
  for i = 1, #list, 2 do
    out[list[i]] = list[i + 1]
  end
  return out
end
local time = redis.call('TIME')
local now = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
local stream = facts(redis.call('XINFO', 'STREAM', KEYS[1]))
local group
for _, list in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local one = facts(list)
  if one.name == ARGV[1] then
    group = one
  end
end
if not group then
  return false
end
local pending = redis.call('XPENDING', KEYS[1], ARGV[1])
local first = stream['first-entry'] and stream['first-entry'][1] or ''
local delivered = group['last-delivered-id']
local unread, counted, whole = '', 0, 0
if first ~= '' and id_less(delivered, first) then
  -- Nothing that was delivered is left: the length tells, and nothing need be read.
  unread, counted, whole = first, stream.length, 1
elseif first ~= '' and id_less(delivered, stream['last-generated-id']) then
  local _, more
  counted, unread, _, more = count_entries(KEYS[1], delivered, '+', tonumber(ARGV[2]), tonumber(ARGV[3]))
  if not more then
    whole = 1
  end
else
  whole = 1
end
return {
  now, stream.length, first, stream['last-generated-id'], stream['max-deleted-entry-id'] or '', stream['entries-added'] or '',
  delivered, group['entries-read'] or '', group.lag or '', pending[1], pending[2] or '', group.consumers, unread, counted, whole,
}
