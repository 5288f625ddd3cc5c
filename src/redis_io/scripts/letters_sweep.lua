-- Sends dead letters back to the stream, or drops them, oldest first; what is looked at is bounded, whatever matches. KEYS[1] stream,
-- KEYS[2] dead-letter stream; ARGV[1] retry | drop, ARGV[2] the first id to look at or '', ARGV[3] the last id to look at or '': the last one
-- there is now, so that letters that come back meanwhile are not taken again, ARGV[4] most to take, ARGV[5] event, ARGV[6] aggregate id
-- and ARGV[7] reason that are asked for or '', ARGV[8] most to look at, ARGV[9] bytes after which to stop.
-- Answers { where to go on or '', the last id to look at or '', how many could not be sent back, how many of those taken were malformed,
-- then the id of each one taken and its new id or '' }.
local drop = ARGV[1] == 'drop'
local begin, final = ARGV[2] == '' and '-' or ARGV[2], ARGV[3]
if final == '' then
  local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
  if not newest then
    return { '', '', 0, 0 }
  end
  final = newest[1]
end
local most, seen_most, bytes_most = tonumber(ARGV[4]), tonumber(ARGV[8]), tonumber(ARGV[9])
local answer, taken, seen, bytes = { '', final, 0, 0 }, 0, 0, 0
local last
repeat
  local page = redis.call('XRANGE', KEYS[2], begin, final, 'COUNT', PAGE)
  for _, entry in ipairs(page) do
    if taken >= most or seen >= seen_most or bytes >= bytes_most then
      answer[1] = last
      return answer
    end
    local letter = read(entry)
    if matches(letter, ARGV[5], ARGV[6], ARGV[7]) then
      local wrong, added
      if drop then
        redis.call('XDEL', KEYS[2], letter.id)
      else
        wrong, added = send_back(letter)
      end
      if type(wrong) == 'table' then
        -- What was done before it stays done and is told; the next call meets the error at once.
        if taken == 0 then
          return wrong
        end
        answer[1] = last
        return answer
      elseif wrong then
        answer[3] = answer[3] + 1
      else
        taken = taken + 1
        if letter.own['weir-reason'] == 'malformed' then
          answer[4] = answer[4] + 1
        end
        answer[#answer + 1] = letter.id
        answer[#answer + 1] = added or ''
      end
    end
    seen, bytes, last = seen + 1, bytes + letter.weight, letter.id
    begin = '(' .. last
  end
until #page < PAGE
return answer
