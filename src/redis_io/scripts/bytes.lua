-- Bytes of an entry's names and values.
local function bytes_of(fields)
  local sum = 0
  for _, text in ipairs(fields) do
    sum = sum + #text
  end
  return sum
end

