-- Reads entries we own once more. ARGV[4] bytes of entries after which none is read any more, from 5: ids. Answers per id: the entry,
-- 2 not ours, 3 gone from the stream, 4 ask again.
if not holds_lease() then
  return 'FENCED'
end
local answers, bytes, bytes_max = {}, 0, tonumber(ARGV[4])
for i = 5, #ARGV do
  local answer = 4
  if bytes < bytes_max then
    local state = standing(ARGV[i])
    answer = 2
    if state == 'gone' then
      answer = 3
    elseif state == 'ours' then
      answer = redis.call('XRANGE', KEYS[1], ARGV[i], ARGV[i])[1] or 3
    end
  end
  if type(answer) == 'table' then
    bytes = bytes + bytes_of(answer[2])
  end
  answers[#answers + 1] = answer
end
return answers
