-- Writes a dead letter, then acknowledges. A script ends at its first error, so a refused XADD acknowledges nothing.
-- KEYS[3] dead-letter stream; ARGV[4] id, ARGV[5] '1' when nobody can own it any more, ARGV[6] bound or 0,
-- ARGV[7] an entry that was already written there, or ''; from 8: names and values.
if not holds_lease() then
  return 'FENCED'
end
local written = ARGV[7]
if ARGV[5] ~= '1' and standing(ARGV[4]) == 'other' then
  if written ~= '' then
    redis.call('XDEL', KEYS[3], written)
  end
  return 'LOST'
end
if written == '' then
  written = redis.call('XADD', KEYS[3], '*', unpack(ARGV, 8))
elseif #redis.call('XRANGE', KEYS[3], written, written) == 0 then
  return 'AGAIN'
end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[4])
local dropped = 0
if ARGV[6] ~= '0' then
  dropped = redis.call('XTRIM', KEYS[3], 'MAXLEN', '=', ARGV[6])
end
return { written, dropped }
