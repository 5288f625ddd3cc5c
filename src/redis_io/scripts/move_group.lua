-- Moves the group to where it reads on, with its cursor, and leaves a note for the replicas; or only tells where it would go.
-- KEYS[1] stream, KEYS[2] cursor, KEYS[3] note; ARGV[1] group, ARGV[2] the id behind which it reads on, or 'end', ARGV[3] 1 when it is a
-- moment: one that has passed and lies behind the last entry means the end, ARGV[4] the note, a JSON object without its last brace,
-- or '' to change nothing. Pending entries are not touched.
-- Answers { state, from, to, pending, lowest pending or '', last id }; state: no_group | beyond | future | planned | moved.
local from
if redis.call('EXISTS', KEYS[1]) == 1 then
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local facts = {}
    for i = 1, #group, 2 do
      facts[group[i]] = group[i + 1]
    end
    if facts.name == ARGV[1] then
      from = facts['last-delivered-id']
    end
  end
end
if not from then
  return { 'no_group', '', '', 0, '', '' }
end
local last
local info = redis.call('XINFO', 'STREAM', KEYS[1])
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then
    last = info[i + 1]
  end
end
local pending = redis.call('XPENDING', KEYS[1], ARGV[1])
local function answer(state, to)
  return { state, from, to, pending[1], pending[2] or '', last }
end
local to = ARGV[2]
if to == 'end' then
  to = last
elseif id_less(last, to) then
  -- Beyond the last entry a repair would take the stream for a new one.
  if ARGV[3] ~= '1' then
    return answer('beyond', to)
  end
  local time = redis.call('TIME')
  local now = string.format('%.0f-0', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
  if id_less(now, to) then
    return answer('future', to)
  end
  to = last
end
if ARGV[4] == '' then
  return answer('planned', to)
end
redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], to)
redis.call('SET', KEYS[2], cursor_value(KEYS[1], ARGV[1]))
redis.call('SET', KEYS[3], ARGV[4] .. ',"from":"' .. from .. '","to":"' .. to .. '"}')
return answer('moved', to)
