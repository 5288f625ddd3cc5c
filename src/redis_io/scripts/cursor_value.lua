-- The lowest id that the whole group still needs: p:<lowest pending>, or d:<last delivered> when nothing is pending, or when the group was
-- moved back so that all that is pending lies behind where it reads on. False without the group.
local function cursor_value(stream, name)
  local pending = redis.call('XPENDING', stream, name)
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local facts = {}
    for i = 1, #group, 2 do
      facts[group[i]] = group[i + 1]
    end
    if facts.name == name then
      local delivered = facts['last-delivered-id']
      if pending[1] > 0 and not id_less(delivered, pending[2]) then
        return 'p:' .. pending[2]
      end
      return 'd:' .. delivered
    end
  end
  return false
end
