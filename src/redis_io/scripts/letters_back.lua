-- Sends a letter back: a new entry with the original's fields and the traces of the retry, and the letter goes. KEYS[1] stream,
-- KEYS[2] dead-letter stream. Answers what is wrong, 'foreign' or 'wide' or an error of Redis, or nil and the new id.
local function send_back(letter)
  if not letter.ours then
    return 'foreign'
  end
  -- Lua cannot pass more values to one command.
  if letter.bare + 6 > FIELDS_MAX then
    return 'wide'
  end
  local words = {}
  for i = 1, letter.bare do
    words[i] = letter.fields[i]
  end
  for _, word in ipairs({
    'weir-retry-of', letter.first,
    'weir-retry-count', string.format('%d', letter.retries + 1),
    'weir-retry-group', letter.own['weir-group'] or '',
  }) do
    words[#words + 1] = word
  end
  local added = redis.pcall('XADD', KEYS[1], '*', unpack(words))
  if type(added) == 'table' then
    return added
  end
  redis.call('XDEL', KEYS[2], letter.id)
  return nil, added
end

-- A script is not undone when one of its commands fails. So the deleting is tried first, on an id that never exists: should the right to
-- it be missing, nothing has been added yet. And a script that has written once is not refused for want of memory, which is right: the
-- letter gives back what the entry takes.
redis.call('XDEL', KEYS[2], '0-0')
