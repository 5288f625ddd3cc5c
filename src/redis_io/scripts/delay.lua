-- Keeps an event until it is due. KEYS[1] sorted set; ARGV[1] due in ms, ARGV[2] random digits, ARGV[3] most that may wait,
-- ARGV[4] names and values of the entry as a JSON array. Answers its id, or '' when as many wait already.
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then
  return ''
end
local time = redis.call('TIME')
local id = string.format('%s-%s%06d-%s', ARGV[1], time[1], tonumber(time[2]), ARGV[2])
redis.call('ZADD', KEYS[1], ARGV[1], id .. ' ' .. ARGV[4])
return id
