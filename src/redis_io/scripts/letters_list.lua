-- Dead letters, newest first; what is looked at is bounded, whatever matches. KEYS[1] dead-letter stream; ARGV[1] the newest id to look at or '',
-- ARGV[2] most to answer, ARGV[3] event, ARGV[4] aggregate id and ARGV[5] reason that are asked for or '', ARGV[6] most to look at,
-- ARGV[7] bytes after which to stop. Answers { how many there are, where to go on or '', then the facts of each }.
local count, most, bytes_most = tonumber(ARGV[2]), tonumber(ARGV[6]), tonumber(ARGV[7])
local begin = ARGV[1] == '' and '+' or ARGV[1]
local answer, seen, bytes = { redis.call('XLEN', KEYS[1]), '' }, 0, 0
local last
repeat
  local page = redis.call('XREVRANGE', KEYS[1], begin, '-', 'COUNT', PAGE)
  for _, entry in ipairs(page) do
    if #answer - 2 >= count or seen >= most or bytes >= bytes_most then
      answer[2] = last
      return answer
    end
    local letter = read(entry)
    if matches(letter, ARGV[3], ARGV[4], ARGV[5]) then
      answer[#answer + 1] = facts(letter)
    end
    seen, bytes, last = seen + 1, bytes + letter.weight, letter.id
    begin = '(' .. last
  end
until #page < PAGE
return answer
