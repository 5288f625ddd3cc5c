-- Writes delivery counts of entries we own. ARGV from 4: id, count, id, count, ...
if not holds_lease() then
  return 'FENCED'
end
local answers = {}
for i = 4, #ARGV, 2 do
  answers[#answers + 1] = claim(ARGV[i], 'RETRYCOUNT', ARGV[i + 1], 'JUSTID')
end
return answers
