-- What the dead-letter scripts share. A dead letter has the original's fields first, then weir-fields, which says how many those are,
-- then what else weir says. An entry that was sent back before ends, as an original, with weir-retry-of, -count and -group.
local PAGE, NAME_MAX, FIELDS_MAX = 10, 128, 7000

-- The last value of that name among the first fields.
local function last_value(fields, ends, name)
  for i = ends - 1, 1, -2 do
    if fields[i] == name then
      return fields[i + 1]
    end
  end
end

-- ends: where the original's fields end; ours: whether weir wrote it, so that this is known; bare: where they end without the traces of
-- earlier retries; first: the id of the very first entry; retries: how often it was sent back; weight: bytes of all fields.
local function read(entry)
  local fields = entry[2]
  local letter = { id = entry[1], fields = fields, own = {}, ends = #fields, ours = false, retries = 0, weight = 0 }
  for i = 1, #fields do
    letter.weight = letter.weight + #fields[i]
  end
  for i = #fields - 1, 1, -2 do
    if fields[i] == 'weir-fields' and fields[i + 1] == string.format('%d', (i - 1) / 2) then
      letter.ends = i - 1
      break
    end
  end
  for i = letter.ends + 1, #fields, 2 do
    letter.own[fields[i]] = fields[i + 1]
  end
  letter.bare = letter.ends
  letter.first = letter.own['weir-id']
  letter.ours = letter.first ~= nil and string.match(letter.first, '^%d+%-%d+$') ~= nil
  local at = letter.ends - 5
  if letter.ours and at >= 1 and fields[at] == 'weir-retry-of' and fields[at + 2] == 'weir-retry-count' and fields[at + 4] == 'weir-retry-group'
    and #fields[at + 1] <= 41 and string.match(fields[at + 1], '^%d+%-%d+$')
    and #fields[at + 3] <= 9 and string.match(fields[at + 3], '^%d+$') then
    letter.bare = at - 1
    letter.first = fields[at + 1]
    letter.retries = tonumber(fields[at + 3])
  end
  letter.event = letter.own['weir-event'] or last_value(fields, letter.ends, 'event')
  letter.aggregate_id = letter.own['weir-aggregate-id'] or last_value(fields, letter.ends, 'aggregateId')
  return letter
end

-- As the globs of EVENTS: a star is any run of characters, a question mark one; no recursion.
local function glob(pattern, name)
  local p, n, star, held = 1, 1, nil, nil
  while true do
    local sign = string.sub(pattern, p, p)
    if sign == '*' then
      p = p + 1
      star, held = p, n
    elseif n > #name then
      return sign == ''
    elseif sign == '?' then
      p, n = p + 1, n + 1
      local byte = string.byte(name, n)
      while byte and byte >= 128 and byte < 192 do
        n = n + 1
        byte = string.byte(name, n)
      end
    elseif sign ~= '' and sign == string.sub(name, n, n) then
      p, n = p + 1, n + 1
    elseif star then
      held = held + 1
      p, n = star, held
    else
      return false
    end
  end
end

-- Whether it is asked for; '' asks for all.
local function matches(letter, event, aggregate_id, reason)
  if reason ~= '' and letter.own['weir-reason'] ~= reason then
    return false
  end
  if aggregate_id ~= '' and letter.aggregate_id ~= aggregate_id then
    return false
  end
  return event == '' or (letter.event ~= nil and #letter.event <= NAME_MAX and glob(event, letter.event))
end

-- What a list says of a letter, each value cut.
local function facts(letter)
  local function cut(value, most)
    return value and string.sub(value, 1, most) or false
  end
  local own = letter.own
  return {
    letter.id,
    letter.ours and letter.ends / 2 or false,
    letter.weight,
    cut(letter.first, 41),
    letter.retries,
    cut(letter.event, 256),
    cut(letter.aggregate_id, 256),
    cut(own['weir-reason'], 256),
    cut(own['weir-error'], 1024),
    cut(own['weir-id'], 41),
    cut(own['weir-group'], 256),
    cut(own['weir-consumer'], 256),
    cut(own['weir-deliveries'], 20),
    cut(own['weir-time'], 20),
    cut(own['weir-correlation-id'], 256),
  }
end
