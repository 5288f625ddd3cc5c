-- Adds all entries or none, with nothing between them. KEYS[1] stream, KEYS[2] (optional) what is remembered of an idempotency key;
-- ARGV[1] fingerprint, ARGV[2] how long it is remembered in ms, then for each entry how many names and values it has, and these.
-- Answers { 'new' or 'same', ids separated by spaces }, or { 'other' } when something else was published under the key.
local memory = KEYS[2]
if memory then
  local known = redis.call('GET', memory)
  if known then
    local fingerprint, ids = string.match(known, '^(%S+) (.*)$')
    if fingerprint ~= ARGV[1] then
      return { 'other' }
    end
    return { 'same', ids }
  end
end
local ids = {}
-- A script is not undone when one of its commands fails: what was added goes before anybody can see it.
local function give_up(failure)
  for _, id in ipairs(ids) do
    redis.call('XDEL', KEYS[1], id)
  end
  return failure
end
local at = 3
while at <= #ARGV do
  local last = at + tonumber(ARGV[at])
  local added = redis.pcall('XADD', KEYS[1], '*', unpack(ARGV, at + 1, last))
  if type(added) == 'table' then
    return give_up(added)
  end
  ids[#ids + 1] = added
  at = last + 1
end
local joined = table.concat(ids, ' ')
if memory then
  local kept = redis.pcall('SET', memory, ARGV[1] .. ' ' .. joined, 'PX', ARGV[2])
  if kept.err then
    return give_up(kept)
  end
end
return { 'new', joined }
