-- Moves delayed events that are due into the stream, in the order they are due. KEYS[1] stream, KEYS[2] sorted set; ARGV[1] most to
-- move, ARGV[2] bytes after which to stop. Answers { how many were moved, when the next one is due in ms or '', now in ms }.
local time = redis.call('TIME')
local now = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
local moved, bytes = 0, 0
while moved < tonumber(ARGV[1]) and bytes < tonumber(ARGV[2]) do
  local member, due = unpack(redis.call('ZRANGE', KEYS[2], '-inf', now, 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES'))
  if not member then
    break
  end
  local words = cjson.decode(string.sub(member, string.find(member, ' ', 1, true) + 1))
  -- First the removal: should the right to it be missing, nothing has happened yet.
  redis.call('ZREM', KEYS[2], member)
  local added = redis.pcall('XADD', KEYS[1], '*', unpack(words))
  if type(added) == 'table' then
    redis.call('ZADD', KEYS[2], due, member)
    return added
  end
  moved, bytes = moved + 1, bytes + #member
end
local next = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
return { moved, next or '', now }
