-- Moves entries that were pending before weir joined to the dead-letter stream, a page a call.
-- KEYS[3] dead-letter stream; ARGV[4] idle time in ms, ARGV[5] highest id, ARGV[6] unix ms, ARGV[7] text of the error, ARGV[8] consumer
-- field prefix is fixed. Answers { moved, lost to trimming, more to do }.
if not holds_lease() then
  return 'FENCED'
end
local PAGE = 100
local page = redis.call('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[4], '-', ARGV[5], PAGE)
local moved, lost = 0, 0
for _, row in ipairs(page) do
  local id, owner, count = row[1], row[2], row[4]
  local found = redis.call('XRANGE', KEYS[1], id, id)
  if found[1] then
    local fields = found[1][2]
    local letter = {}
    for i = 1, #fields do
      letter[i] = fields[i]
    end
    local originals = #fields / 2
    for _, text in ipairs({
      'weir-fields', tostring(originals), 'weir-reason', 'pending_before_adoption', 'weir-error', ARGV[7], 'weir-id', id,
      'weir-stream', KEYS[1], 'weir-group', ARGV[1], 'weir-consumer', owner, 'weir-deliveries', tostring(count), 'weir-time', ARGV[6],
    }) do
      letter[#letter + 1] = text
    end
    redis.call('XADD', KEYS[3], '*', unpack(letter))
    moved = moved + 1
  else
    lost = lost + 1
  end
  redis.call('XACK', KEYS[1], ARGV[1], id)
end
local more = 0
if #page == PAGE then
  more = 1
end
return { moved, lost, more }
