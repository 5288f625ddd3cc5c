-- Remembers the lowest id that the whole group still needs. KEYS[1] stream, KEYS[2] cursor; ARGV[1] group.
local value = cursor_value(KEYS[1], ARGV[1])
if value then
  redis.call('SET', KEYS[2], value)
end
return value
