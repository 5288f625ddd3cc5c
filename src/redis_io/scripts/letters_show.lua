-- One dead letter. KEYS[1] dead-letter stream; ARGV[1] id, ARGV[2] most fields, ARGV[3] most bytes of names and values together.
-- Answers { facts, how many fields there are, then name, its length, value and its length of each }, names and values cut, or nothing.
local entry = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not entry then
  return {}
end
local fields, room = entry[2], tonumber(ARGV[3])
local answer = { facts(read(entry)), #fields / 2 }
for i = 1, #fields do
  if i > 2 * tonumber(ARGV[2]) or (room <= 0 and i % 2 == 1) then
    break
  end
  local shown = string.sub(fields[i], 1, room)
  room = room - #shown
  answer[#answer + 1] = shown
  answer[#answer + 1] = #fields[i]
end
return answer
