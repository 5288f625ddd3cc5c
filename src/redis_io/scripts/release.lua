-- Hands entries over: an idle time no living consumer reaches says so. ARGV from 4: id, idle, count, id, idle, count, ...
if not holds_lease() then
  return 'FENCED'
end
local answers = {}
for i = 4, #ARGV, 3 do
  answers[#answers + 1] = claim(ARGV[i], 'IDLE', ARGV[i + 1], 'RETRYCOUNT', ARGV[i + 2], 'JUSTID')
end
return answers
