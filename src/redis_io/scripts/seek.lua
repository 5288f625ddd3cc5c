-- The place of a delayed event in its sorted set, or the place where it would stand. Halves the span among those due at the same
-- moment: they stand in the order of their ids, which are as long as each other.
local function seek(key, due, id)
  local low = redis.call('ZCOUNT', key, '-inf', '(' .. due)
  local high = redis.call('ZCOUNT', key, '-inf', due)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local member = redis.call('ZRANGE', key, middle, middle)[1]
    if string.sub(member, 1, #id) < id then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end
