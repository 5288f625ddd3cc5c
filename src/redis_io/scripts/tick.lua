-- Publishes one tick of a schedule unless somebody has. KEYS[1] stream, KEYS[2] hash: the last published tick of each schedule;
-- ARGV[1] schedule, ARGV[2] tick in ms, ARGV[3] '1': a schedule nobody has published yet has missed nothing, ARGV[4] how far ahead
-- of our clock a tick may be in ms, then names and values of the entry.
-- Answers { 'published', now in ms, entry id }, or { 'known' or 'noted' or 'early', now in ms }.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local shown = string.format('%.0f', now)
local tick = tonumber(ARGV[2])
if tick > now + tonumber(ARGV[4]) then
  return { 'early', shown }
end
local last = redis.call('HGET', KEYS[2], ARGV[1])
if last and tonumber(last) >= tick then
  return { 'known', shown }
end
-- First the write that keeps others from publishing it: should the right to it be missing, nothing has happened yet.
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
if not last and ARGV[3] == '1' then
  return { 'noted', shown }
end
local added = redis.pcall('XADD', KEYS[1], '*', unpack(ARGV, 5))
if type(added) == 'table' then
  if last then
    redis.call('HSET', KEYS[2], ARGV[1], last)
  else
    redis.call('HDEL', KEYS[2], ARGV[1])
  end
  return added
end
return { 'published', shown, added }
