-- Sends one dead letter back to the stream. KEYS[1] stream, KEYS[2] dead-letter stream; ARGV[1] id.
-- Answers { 'retried', new id, first id, how many times it was, reason or false }, or { 'gone' or 'foreign' or 'wide' }.
local entry = redis.call('XRANGE', KEYS[2], ARGV[1], ARGV[1])[1]
if not entry then
  return { 'gone' }
end
local letter = read(entry)
local wrong, added = send_back(letter)
if type(wrong) == 'table' then
  return wrong
elseif wrong then
  return { wrong }
end
return { 'retried', added, letter.first, letter.retries + 1, letter.own['weir-reason'] or false }
