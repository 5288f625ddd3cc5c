-- Entry ids as text: numbers in Lua lose digits above 2^53.
local function split(id)
  local ms, seq = string.match(id, '^(%d+)%-(%d+)$')
  return ms, seq
end

local function digits_less(a, b)
  if #a ~= #b then
    return #a < #b
  end
  return a < b
end

local function id_less(a, b)
  local a_ms, a_seq = split(a)
  local b_ms, b_seq = split(b)
  if a_ms ~= b_ms then
    return digits_less(a_ms, b_ms)
  end
  return digits_less(a_seq, b_seq)
end

local function digits_minus_one(digits)
  local out, borrow = {}, true
  for i = #digits, 1, -1 do
    local digit = string.byte(digits, i) - 48
    if borrow then
      if digit == 0 then
        digit = 9
      else
        digit = digit - 1
        borrow = false
      end
    end
    out[i] = string.char(digit + 48)
  end
  local text = string.gsub(table.concat(out), '^0+(%d)', '%1')
  return text
end

local function predecessor(id)
  local ms, seq = split(id)
  if seq ~= '0' then
    return ms .. '-' .. digits_minus_one(seq)
  end
  if ms ~= '0' then
    return digits_minus_one(ms) .. '-18446744073709551615'
  end
  return '0-0'
end
