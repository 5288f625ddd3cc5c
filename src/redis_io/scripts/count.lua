-- Raises delivery counts of entries we own; a count that is higher already stays. ARGV from 4: id, count, id, count, ...
if not holds_lease() then
  return 'FENCED'
end
local answers = {}
for i = 4, #ARGV, 2 do
  local count = tonumber(ARGV[i + 1])
  local found = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)
  if found[1] and found[1][4] > count then
    count = found[1][4]
  end
  answers[#answers + 1] = claim(ARGV[i], 'RETRYCOUNT', count, 'JUSTID')
end
return answers
