-- Reads entries we own once more. ARGV from 4: ids. Answers per id: the entry, 2 not ours, 3 gone from the stream.
if not holds_lease() then
  return 'FENCED'
end
local answers = {}
for i = 4, #ARGV do
  local state = standing(ARGV[i])
  local answer = 2
  if state == 'gone' then
    answer = 3
  elseif state == 'ours' then
    answer = redis.call('XRANGE', KEYS[1], ARGV[i], ARGV[i])[1] or 3
  end
  answers[#answers + 1] = answer
end
return answers
