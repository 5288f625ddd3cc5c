-- Makes sure that the group exists, so that the lowest unsettled entry is delivered again. The same on every replica.
-- KEYS[1] stream, KEYS[2] cursor; ARGV[1] group, ARGV[2] the cursor we remember or '', ARGV[3] start when nothing is known, ARGV[4] most
-- entries to count, ARGV[5] bytes of entries after which counting stops. Answers { state, why, start, entries waiting, 1 when there may be more }.
local exists = redis.call('EXISTS', KEYS[1]) == 1
if exists then
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    if group[2] == ARGV[1] then
      return { 'present', '', '', 0, 0 }
    end
  end
end
local cursor = redis.call('GET', KEYS[2])
if not cursor then
  cursor = ARGV[2]
end
local start, why = ARGV[3], 'no_cursor'
if cursor ~= '' then
  local mark, id = string.match(cursor, '^(%a):(.+)$')
  local last = '0-0'
  local length = 0
  if exists then
    local info = redis.call('XINFO', 'STREAM', KEYS[1])
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' then
        last = info[i + 1]
      elseif info[i] == 'length' then
        length = info[i + 1]
      end
    end
  end
  if length == 0 or id_less(last, id) then
    start, why = '0', 'new_stream'
  elseif mark == 'p' then
    start, why = predecessor(id), 'cursor'
  else
    start, why = id, 'cursor'
  end
end
redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], start, 'MKSTREAM')
local waiting, more = 0, false
if start == '0' or start == '0-0' then
  waiting = redis.call('XLEN', KEYS[1])
elseif start ~= '$' then
  local _
  waiting, _, _, more = count_entries(KEYS[1], start, '+', tonumber(ARGV[4]), tonumber(ARGV[5]))
end
return { 'created', why, start, waiting, more and 1 or 0 }
