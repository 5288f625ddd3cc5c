-- Part of the delayed events in the order they are due. KEYS[1] sorted set; ARGV[1] due in ms and ARGV[2] id to begin after, or '' and '',
-- ARGV[3] most to answer, ARGV[4] bytes after which to stop. Answers { how many wait, '1' when more follow, then id, event and
-- aggregate id of each }.
local place = 0
if ARGV[2] ~= '' then
  place = seek(KEYS[1], ARGV[1], ARGV[2])
  local found = redis.call('ZRANGE', KEYS[1], place, place)[1]
  if found and string.sub(found, 1, #ARGV[2]) == ARGV[2] then
    place = place + 1
  end
end
local total = redis.call('ZCARD', KEYS[1])
local answer, bytes, count = { total, '' }, 0, 0
while place < total do
  if count >= tonumber(ARGV[3]) or bytes >= tonumber(ARGV[4]) then
    answer[2] = '1'
    break
  end
  local member = redis.call('ZRANGE', KEYS[1], place, place)[1]
  local space = string.find(member, ' ', 1, true)
  local facts, words = {}, cjson.decode(string.sub(member, space + 1))
  for i = 1, #words, 2 do
    facts[words[i]] = words[i + 1]
  end
  answer[#answer + 1] = string.sub(member, 1, space - 1)
  answer[#answer + 1] = facts.event or ''
  answer[#answer + 1] = facts.aggregateId or ''
  place, count, bytes = place + 1, count + 1, bytes + #member
end
return answer
