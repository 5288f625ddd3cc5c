-- Counts entries behind one id up to another, a part at a time, so that nobody waits long. KEYS[1] stream; ARGV[1] the id to begin behind,
-- ARGV[2] the last id, ARGV[3] most entries, ARGV[4] bytes of entries after which it stops. Answers { counted, where to go on or '' }.
local PAGE = 100
local from, counted, bytes = ARGV[1], 0, 0
local limit, bytes_max = tonumber(ARGV[3]), tonumber(ARGV[4])
while counted < limit and bytes < bytes_max do
  local ask = math.min(PAGE, limit - counted)
  local page = redis.call('XRANGE', KEYS[1], '(' .. from, ARGV[2], 'COUNT', ask)
  for _, entry in ipairs(page) do
    from = entry[1]
    for _, text in ipairs(entry[2]) do
      bytes = bytes + #text
    end
  end
  counted = counted + #page
  if #page < ask then
    return { counted, '' }
  end
end
return { counted, from }
